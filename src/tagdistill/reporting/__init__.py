"""Figures, the HTML report and the model cards: they show results and decide none."""
