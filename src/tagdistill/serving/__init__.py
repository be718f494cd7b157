"""The HTTP service: requests in, labelled texts out."""
