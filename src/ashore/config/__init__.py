"""`ashore.toml`, environment variables and flags become frozen settings; every problem is told at once."""
