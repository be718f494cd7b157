"""The C++ kernel."""
