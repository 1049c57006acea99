"""History of the registry service's schema, applied at start."""
