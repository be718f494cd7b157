"""The kernels: one family of implementations of the same chain."""
