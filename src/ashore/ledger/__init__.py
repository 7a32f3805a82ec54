"""The schema `ashore` in the target database: what was begun, how far it came, what was rejected.

Its functions take a connection whose transaction the caller owns, so that data and progress move together.
"""
