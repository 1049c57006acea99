"""History of the tracking service's schema, applied at start."""
