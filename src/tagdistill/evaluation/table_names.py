"""The names of an experiment's tables. The workflow reads them when it starts, so nothing here needs pandas."""

TABLES = ("scores", "in_language", "zero_shot", "teachers", "gap", "significance", "variants", "missing")
