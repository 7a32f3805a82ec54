"""Declarations of entities, and the pure functions between items and rows that they are compiled into."""
