"""One experiment: its models, its files and its jobs."""
