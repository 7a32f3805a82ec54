"""Benchmarks behind `ashore bench`. Each measures its own limit in the same run, and reports the ratio."""
