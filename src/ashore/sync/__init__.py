"""Sync: the stream flows into PostgreSQL."""
