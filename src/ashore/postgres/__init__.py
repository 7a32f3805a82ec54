"""The only place that opens connections to PostgreSQL: connecting, COPY, the catalog."""
