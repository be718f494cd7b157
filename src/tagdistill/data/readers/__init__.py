"""Read files of labelled or plain sentences."""
