"""`studbook demo`: the whole life of a model, played with the real programs on this machine."""
