"""What a load is asked to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ashore.ledger.chunk import Encoding
from ashore.ledger.loads import LoadRecord
from ashore.mapping.declared import PlanReference, load_plan
from ashore.mapping.encoded import Rejected
from ashore.mapping.encoder import item_key
from ashore.mapping.native import fastest_encoder
from ashore.mapping.plan import Plan
from ashore.model.chunk import ItemSource
from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName

_decode: Final = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a load may go.

    `max_rejected_share` of the items read may be rejected, once `counted_from` items were read. DDL waits
    `lock_timeout_ms` for a lock. `lock_patience_seconds` is how long to wait for the lock of the flow, in which the
    server notices that a killed process is gone. `maintenance_work_mem` is for building keys, as PostgreSQL writes it.
    """

    max_rejected_share: float = 0.001
    counted_from: int = 10_000
    lock_timeout_ms: int = 10_000
    lock_patience_seconds: float = 10.0
    maintenance_work_mem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a step after the rows changed: differences, whose items sum to 0, and the items that it rejected."""

    counts: Mapping[tuple[str | None, str], int] = field(default_factory=dict)
    rejected: Sequence[Rejected] = ()


Rebuild = Callable[[Conn, str, Sequence[Sequence[str]]], list[tuple[bytes, str]]]
"""(connection, entity, values of the primary key columns as text) → for each row of these keys, its item as DynamoDB
JSON and the item's key as JSON text. Called in the transaction that removes the rows."""

AfterRows = Callable[[Conn, str], Moved]
"""(connection, entity) → what it changed. Called in a transaction, once, after the primary keys are there."""


def _nothing_after_rows(_conn: Conn, _entity: str) -> Moved:
    return Moved()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOrder:
    """A load: from where, what, into which database, and how.

    `make_encoding` is called in each worker process and must be picklable (`PlannedEncoding` is).
    `fingerprint` is compared when a load is resumed: by default a digest of the columns that are written.
    `is_captured` says that the stream is captured beside it: UNIQUE and foreign keys stay off, it ends in `merging`.
    """

    dsn: str = field(repr=False)
    plan: Plan
    make_encoding: Callable[[], Encoding]
    source: ItemSource
    entities: tuple[str, ...]
    rebuild: Rebuild
    after_rows: AfterRows = _nothing_after_rows
    workers: int = 2
    restart: bool = False
    limits: Limits = field(default_factory=Limits)
    fingerprint: str | None = None
    is_captured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoad:
    """A load that this process holds the lock of. `targets` maps tables' full names in the declaration to tables."""

    record: LoadRecord
    targets: Mapping[str, TableName]
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedEncoding:
    """Makes the encoder of a declaration in a worker process. `native` is as in `planned_encoding`."""

    reference: PlanReference
    entities: tuple[str, ...]
    native: bool = True

    def __call__(self) -> Encoding:
        """Import the declaration, compile it, and make a new encoder."""
        plan = load_plan(self.reference)
        return planned_encoding(plan, self.entities, native=self.native)


def planned_encoding(plan: Plan, entities: Sequence[str], *, native: bool = True) -> Encoding:
    """An encoder for some entities of a plan; with the native path where it is installed, unless that is not wanted."""

    def key_of(raw: bytes) -> str:
        return item_key(plan, _decode(raw))

    encoder = fastest_encoder(plan, entities) if native else plan.encoder(entities)
    return Encoding(encoder=encoder, key_of=key_of)


def fingerprint_of(columns: Mapping[str, Sequence[str]]) -> str:
    """A digest of the columns that a load writes: what must not change between its runs."""
    text = json.dumps({table: list(names) for table, names in columns.items()}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
