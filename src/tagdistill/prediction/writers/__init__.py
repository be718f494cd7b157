"""The formats that `tagdistill predict` writes, a module each, found by name."""
