"""Servers on this machine for the demo, the benchmarks and the tests: PostgreSQL, DynamoDB and S3."""

from ashore.local.clusters import embedded_bin_dir
from ashore.local.dynamodb import LocalAws, dynamodb_local, find_dynamodb_local, moto_server
from ashore.local.errors import JavaMissing, LocalServerError
from ashore.local.postgres import LocalPostgres, embedded_postgres

__all__ = [
    "JavaMissing",
    "LocalAws",
    "LocalPostgres",
    "LocalServerError",
    "dynamodb_local",
    "embedded_bin_dir",
    "embedded_postgres",
    "find_dynamodb_local",
    "moto_server",
]
