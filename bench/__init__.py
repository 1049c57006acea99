"""Measurements of the running product; see `bench/README.md`."""
