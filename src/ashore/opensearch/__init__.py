"""Feeding an index of OpenSearch from the outbox: clients, documents, the feeder, rebuilds."""
