"""Teacher scores, targets and the objectives that use them."""
