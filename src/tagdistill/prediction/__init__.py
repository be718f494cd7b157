"""Files of text in, labelled files out: `tagdistill predict`."""
