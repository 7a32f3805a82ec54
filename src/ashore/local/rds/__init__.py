"""An endpoint on this machine that lets in whom RDS would: TLS, IAM tokens, RDS's words, and its bad days."""

from ashore.local.rds.behaviour import Behaviour, MovableClock
from ashore.local.rds.door import Door, Refusal
from ashore.local.rds.doors import Doors, open_doors
from ashore.local.rds.verifying import Endpoint, Identity

__all__ = ["Behaviour", "Door", "Doors", "Endpoint", "Identity", "MovableClock", "Refusal", "open_doors"]
