"""Taggers: word vectors to label scores, their batches and their files."""
