"""Exported and saved models on plain text, from Python. What needs torch is loaded for a saved model only."""
