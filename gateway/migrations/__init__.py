"""History of the gateway's schema, applied at start."""
