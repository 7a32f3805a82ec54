"""The shadow: everything read once more, into unlogged tables beside the targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import psycopg
from psycopg import sql

from ashore.ledger.chunk import Encoding
from ashore.ledger.copies import CopiesSettler
from ashore.mapping.declared import PlanReference, load_plan
from ashore.mapping.encoded import Encoded, Rejected
from ashore.mapping.encoder import item_key
from ashore.mapping.items import from_rows
from ashore.mapping.native import fastest_encoder
from ashore.mapping.plan import EntityPlan, Plan
from ashore.mapping.reasons import explanations
from ashore.postgres.connect import Conn, one_row
from ashore.postgres.items import RowKey, RowReader
from ashore.postgres.names import TableName
from ashore.postgres.shadow import create_unlogged_copies
from ashore.postgres.violations import delete_keys, repeated_keys

SCHEMA: Final = "ashore_shadow"
_samples: Final = TableName(SCHEMA, "sample")
_rejected: Final = TableName(SCHEMA, "rejected")
_KEYS_AT_ONCE: Final = 500

_decode = msgspec.json.Decoder(dict[str, dict[str, object]]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowEncoding:
    """Makes, in a worker process, an encoder that hands back samples for the witness; picklable."""

    reference: PlanReference
    entities: tuple[str, ...]
    sample: int

    def __call__(self) -> Encoding:
        """Import the declaration, compile it, and make a new encoder."""
        plan = load_plan(self.reference)

        def key_of(raw: bytes) -> str:
            return item_key(plan, _decode(raw))

        return Encoding(encoder=fastest_encoder(plan, self.entities, sample=self.sample), key_of=key_of)


@dataclass(frozen=True, slots=True)
class KeepBeside:
    """Keeps the samples and the rejected items of a chunk in the shadow; an `OnEncoded` hook."""

    def __call__(self, conn: Conn, encoded: Encoded) -> None:
        """Called in the chunk's transaction."""
        if encoded.samples:
            with conn.cursor() as cursor, cursor.copy(f"COPY {_samples} (entity, shape, raw) FROM STDIN") as copy:
                for sample in encoded.samples:
                    shape = ",".join(sorted(f"{name}:{kind}" for name, kind in sample.shape)).replace("\0", "␀")
                    copy.write_row((sample.entity, shape, sample.raw))
        keep_rejected(conn, encoded.rejected)


def keep_rejected(conn: Conn, rejected: Sequence[Rejected]) -> None:
    """Keep what this reading rejects, to be compared with what the ledger has."""
    with conn.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {_rejected} (entity, key, reason) VALUES (%s, %s, %s)",  # noqa: S608 (a constant)
            [(one.entity, one.key, one.reason) for one in rejected],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """The shadow of some entities. `tables` maps declared tables to their shadows, `targets` to the targets."""

    targets: Mapping[str, TableName]
    tables: Mapping[str, TableName]

    def reader(self, plan: EntityPlan) -> RowReader:
        """Reads rows of the shadow."""
        return RowReader(plan=plan, tables=self.tables)

    def target_reader(self, plan: EntityPlan) -> RowReader:
        """Reads rows of the target."""
        return RowReader(plan=plan, tables=self.targets)


def make_shadow(conn: Conn, targets: Mapping[str, TableName]) -> Shadow:
    """Make an empty shadow of the targets, in place of an earlier one. The caller owns the transaction."""
    drop_shadow(conn)
    copies = create_unlogged_copies(conn, SCHEMA, list(targets.values()))
    conn.execute(f"CREATE UNLOGGED TABLE {_samples} (entity text NOT NULL, shape text NOT NULL, raw bytea NOT NULL)")
    conn.execute(f"CREATE UNLOGGED TABLE {_rejected} (entity text, key text NOT NULL, reason text NOT NULL)")
    return Shadow(targets=targets, tables={name: copies[target] for name, target in targets.items()})


def drop_shadow(conn: Conn) -> None:
    """Drop the shadow and all in it; idempotent. The caller owns the transaction."""
    conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA)))


@dataclass(slots=True, kw_only=True)
class Finisher:
    """Makes of a loaded shadow what a finished load makes of its targets: keys without repetition, settled copies."""

    plan: Plan
    shadow: Shadow
    duplicates: dict[str, int] = field(default_factory=dict)

    def finish(self, conn: Conn, entity: EntityPlan) -> None:
        """Reject items that share a row key, build the primary key, settle the copies. Autocommit expected."""
        reader = self.shadow.reader(entity)
        for declared in entity.tables:
            table = self.shadow.tables[declared.fullname]
            conn.execute(sql.SQL("ANALYZE {}").format(table.identifier))
        while not self._has_key(conn, reader):
            with conn.transaction():
                self._reject(conn, entity, reader)
        if entity.copies is not None:
            with conn.transaction():
                CopiesSettler(
                    plan=entity,
                    copies=entity.copies,
                    tables=self.shadow.tables,
                    keep=lambda rejected: keep_rejected(conn, rejected),
                ).settle(conn)

    @staticmethod
    def _has_key(conn: Conn, reader: RowReader) -> bool:
        columns = sql.SQL(", ").join(map(sql.Identifier, reader.key_columns))
        try:
            conn.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(reader.table.identifier, columns))
        except psycopg.errors.UniqueViolation:
            return False
        return True

    def _reject(self, conn: Conn, entity: EntityPlan, reader: RowReader) -> None:
        keys: list[RowKey] = repeated_keys(conn, reader.table, reader.key_columns, limit=_KEYS_AT_ONCE)
        rows = reader.by_key(conn, keys)
        keep_rejected(
            conn,
            [
                Rejected(
                    entity=entity.name,
                    attribute=None,
                    reason="duplicate_key",
                    detail=explanations["duplicate_key"],
                    key=item_key(self.plan, from_rows(entity, found)),
                    raw=b"",
                )
                for _, found in rows
            ],
        )
        self.duplicates[entity.name] = self.duplicates.get(entity.name, 0) + len(rows)
        for child in entity.children:
            of_parent = {ours: theirs for theirs, ours in child.parent}
            delete_keys(
                conn,
                self.shadow.tables[child.record.table.fullname],
                [of_parent[key] for key in reader.key_columns],
                keys,
            )
        delete_keys(conn, reader.table, reader.key_columns, keys)


def samples(conn: Conn, entity: str, *, after: int, limit: int) -> list[tuple[int, str, bytes]]:
    """Some samples of an entity in the order of their places; each with its place, to go on after."""
    statement = (
        f"SELECT place, shape, raw FROM (SELECT row_number() OVER (ORDER BY shape, ctid) AS place, shape, raw"  # noqa: S608
        f" FROM {_samples} WHERE entity = %s) s WHERE place > %s ORDER BY place LIMIT %s"
    )
    return conn.execute(statement.encode(), (entity, after, limit)).fetchall()


_REJECTED: Final = f"""
    WITH expected AS (SELECT key, reason, count(*) AS n FROM {_rejected} GROUP BY key, reason),
    actual AS (
        SELECT r.key, r.reason, count(*) AS n FROM ashore.rejected_item r
        WHERE r.source = %(source)s AND (r.entity = ANY(%(entities)s) OR r.entity IS NULL) GROUP BY r.key, r.reason
    )
    SELECT coalesce(sum(e.n), 0)::bigint, coalesce(sum(a.n), 0)::bigint,
           coalesce(sum(greatest(coalesce(e.n, 0) - coalesce(a.n, 0), 0)), 0)::bigint,
           coalesce(sum(greatest(coalesce(a.n, 0) - coalesce(e.n, 0), 0)), 0)::bigint
    FROM expected e FULL JOIN actual a USING (key, reason)
"""  # noqa: S608 (a constant)


def compare_rejected(conn: Conn, source: str, entities: Sequence[str]) -> tuple[int, int, int, int]:
    """Rejected by this reading, kept in the ledger, in the first only, in the second only."""
    row = one_row(conn.execute(_REJECTED.encode(), {"source": source, "entities": list(entities)}))
    return row[0], row[1], row[2], row[3]


_APART: Final = f"""
    SELECT key FROM (
        SELECT key, reason FROM {_rejected}
        EXCEPT ALL
        SELECT key, reason FROM ashore.rejected_item
        WHERE source = %(source)s AND (entity = ANY(%(entities)s) OR entity IS NULL)
    ) AS not_kept
    UNION
    SELECT key FROM (
        SELECT key, reason FROM ashore.rejected_item
        WHERE source = %(source)s AND (entity = ANY(%(entities)s) OR entity IS NULL)
        EXCEPT ALL
        SELECT key, reason FROM {_rejected}
    ) AS no_longer
"""  # noqa: S608 (a constant)


def apart_rejected(conn: Conn, source: str, entities: Sequence[str]) -> list[bytes]:
    """The keys of items that this reading rejects and the ledger does not have, or the other way round, as JSON."""
    rows = conn.execute(_APART.encode(), {"source": source, "entities": list(entities)})
    return [key.encode() for (key,) in rows]
