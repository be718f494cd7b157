"""Pre-trained encoders: where they come from, how words become pieces, and the store of word features."""
