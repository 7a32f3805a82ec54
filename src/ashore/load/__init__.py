"""The bulk load: a source's items into PostgreSQL by COPY, killed at any instant and started again."""
