"""Roles, what they may do, and what has to be said to PostgreSQL so that it is so."""
