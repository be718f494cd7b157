"""Jobs that start as forks of one process which has imported what they need, instead of importing it each anew."""
