"""The providers of encoders that a config may name, one module each."""
