"""What an application holds in its hand while its entities cross: which store, when to wait, and shadow reads.

Imports little: psycopg and nothing of AWS or SQLAlchemy.
"""

from ashore.app.callers import caller
from ashore.app.compare import Difference, differences
from ashore.app.dynamodb import keep_to_permits, write_config
from ashore.app.errors import (
    EntityNotRouted,
    PermitTooShort,
    RoutesError,
    RoutesVoid,
    StoresDiffer,
    WritesHeld,
    WriteTooLong,
)
from ashore.app.permit import Permit
from ashore.app.routes import Routes
from ashore.app.shadow import Shadow

__all__ = [
    "Difference",
    "EntityNotRouted",
    "Permit",
    "PermitTooShort",
    "Routes",
    "RoutesError",
    "RoutesVoid",
    "Shadow",
    "StoresDiffer",
    "WriteTooLong",
    "WritesHeld",
    "caller",
    "differences",
    "keep_to_permits",
    "write_config",
]
