"""Proof that PostgreSQL holds what DynamoDB holds: compared both ways, and witnessed."""
