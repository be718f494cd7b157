"""The settings of a config file, their documentation and their errors."""
