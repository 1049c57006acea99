"""Certificates of model versions: reading, verifying without a network, and other forms of them."""
