"""Scores of taggers, their comparison, and the tables made of them."""
