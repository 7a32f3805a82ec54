"""Frozen values and their laws; no I/O."""
