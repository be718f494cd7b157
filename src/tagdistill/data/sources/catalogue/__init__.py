"""The sources that a config may name, one module each."""
