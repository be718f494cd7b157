"""What a config file may say: the settings, their documentation and their errors."""
