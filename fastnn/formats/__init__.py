"""Model files, and the weights of other programs."""
