"""From an unknown table to entities, a schema and a plan."""
