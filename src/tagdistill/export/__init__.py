"""Students that leave the project: folders that stand alone."""
