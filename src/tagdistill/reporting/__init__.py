"""Figures, the HTML report, the model cards and Markdown pages: they show results and do not affect them."""
