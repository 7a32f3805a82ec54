"""The ledger's tables: made and upgraded in place, under a lock, in one transaction."""

from __future__ import annotations

from typing import Final, LiteralString

from ashore.errors import Problem
from ashore.ledger.errors import LedgerTooNew
from ashore.ledger.schema_cutover import VERSION_3
from ashore.ledger.schema_feed import VERSION_5
from ashore.ledger.schema_purge import VERSION_6
from ashore.ledger.schema_shadow import SHADOW_READS
from ashore.ledger.schema_sync import FRESHNESS, LISTED_WHOLE, VERSION_2
from ashore.ledger.schema_way_back import WAY_BACK
from ashore.postgres.connect import Conn

_LOCK: Final = 0x6173686F7265  # the letters of "ashore"

_VERSION_1: Final[LiteralString] = """
    CREATE TABLE ashore.load (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        source text NOT NULL,
        purpose text NOT NULL CHECK (purpose IN ('load', 'verify')),
        attempt integer NOT NULL,
        entities text[] NOT NULL,
        origin jsonb NOT NULL,
        fingerprint text NOT NULL,
        phase text NOT NULL CHECK (phase IN ('rows', 'keys', 'done', 'discarded')),
        run integer NOT NULL DEFAULT 1,
        host text NOT NULL,
        pid integer NOT NULL,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        run_started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ended_at timestamptz,
        report jsonb,
        UNIQUE (source, purpose, attempt)
    );
    CREATE UNIQUE INDEX load_unfinished ON ashore.load (source, purpose) WHERE phase IN ('rows', 'keys');
    COMMENT ON COLUMN ashore.load.run IS 'counts the runs of this load; a worker of an older run can write nothing';

    CREATE TABLE ashore.entity (
        source text NOT NULL,
        entity text NOT NULL,
        tables text[] NOT NULL,
        state text NOT NULL CHECK (state IN ('declared', 'loading', 'loaded', 'merging', 'syncing', 'reading',
                                             'draining', 'writing', 'returning', 'retired')),
        load bigint REFERENCES ashore.load,
        since timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (source, entity)
    );

    CREATE TABLE ashore.load_unit (
        load bigint NOT NULL REFERENCES ashore.load,
        ordinal integer NOT NULL,
        name text NOT NULL,
        about json NOT NULL,
        items_expected bigint,
        items_read bigint NOT NULL DEFAULT 0,
        bytes_read bigint NOT NULL DEFAULT 0,
        read_units double precision NOT NULL DEFAULT 0,
        position json,
        chunks bigint NOT NULL DEFAULT 0,
        done boolean NOT NULL DEFAULT false,
        run integer NOT NULL,
        worker integer,
        PRIMARY KEY (load, name)
    ) WITH (fillfactor = 50);
    COMMENT ON COLUMN ashore.load_unit.position IS 'json, not jsonb: a key may hold U+0000';
    COMMENT ON COLUMN ashore.load_unit.chunks IS 'transactions so far; the compare-and-set of a position';

    CREATE TABLE ashore.load_count (
        load bigint NOT NULL REFERENCES ashore.load,
        unit text NOT NULL,
        entity text,
        outcome text NOT NULL,
        items bigint NOT NULL,
        UNIQUE NULLS NOT DISTINCT (load, unit, entity, outcome)
    ) WITH (fillfactor = 50);

    CREATE TABLE ashore.load_row (
        load bigint NOT NULL REFERENCES ashore.load,
        unit text NOT NULL,
        table_name text NOT NULL,
        rows bigint NOT NULL,
        PRIMARY KEY (load, unit, table_name)
    ) WITH (fillfactor = 50);

    CREATE TABLE ashore.load_step (
        load bigint NOT NULL REFERENCES ashore.load,
        name text NOT NULL,
        seconds double precision NOT NULL,
        finding jsonb,
        ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (load, name)
    );

    CREATE TABLE ashore.rejected_item (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        load bigint NOT NULL REFERENCES ashore.load,
        source text NOT NULL,
        entity text,
        key text NOT NULL,
        attribute text,
        reason text NOT NULL,
        detail text NOT NULL,
        item bytea NOT NULL,
        rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    CREATE INDEX ON ashore.rejected_item (source, entity, reason);
    CREATE INDEX ON ashore.rejected_item (load);
    COMMENT ON COLUMN ashore.rejected_item.item IS 'the whole item as DynamoDB JSON; bytes, since it may hold U+0000';

    CREATE TABLE ashore.taken_off (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        source text NOT NULL,
        schema_name text NOT NULL,
        table_name text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('primary_key', 'unique', 'exclusion', 'index', 'foreign_key')),
        name text NOT NULL,
        drop_ddl text NOT NULL,
        create_ddl text NOT NULL,
        after_ddl text[] NOT NULL,
        validate_ddl text,
        tablespace text,
        state text NOT NULL DEFAULT 'off' CHECK (state IN ('off', 'not_valid', 'refused')),
        taken_off_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        UNIQUE (schema_name, table_name, name)
    );

    CREATE TABLE ashore.verification (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        source text NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        report jsonb NOT NULL
    );

    CREATE TABLE ashore.audit (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        who text NOT NULL DEFAULT session_user,
        command text NOT NULL,
        detail jsonb NOT NULL
    );
"""
_upgrades: Final[tuple[LiteralString, ...]] = (
    _VERSION_1,
    VERSION_2 + FRESHNESS,
    VERSION_3 + SHADOW_READS,
    WAY_BACK,
    VERSION_5,
    VERSION_6,
    LISTED_WHOLE,
)
version: Final = len(_upgrades)

_IS_THERE = "SELECT to_regclass('ashore.version') IS NOT NULL"
_FOUND = "SELECT coalesce(max(version), 0) FROM ashore.version"
_HAS_SCHEMA = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'ashore'"
_NOTE = "INSERT INTO ashore.version (version) VALUES (%s)"
_VERSION_TABLE = """
    CREATE TABLE ashore.version (
        version integer PRIMARY KEY,
        since timestamptz NOT NULL DEFAULT clock_timestamp()
    )
"""


def ensure_ledger(conn: Conn) -> None:
    """Make the ledger, or bring it up to this program's version; idempotent, safe to call from several at once.

    Raises:
        LedgerTooNew: A newer Ashore wrote it.
    """
    with conn.transaction():
        if found_version(conn) == version:
            return
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        found = found_version(conn)
        if found > version:
            raise LedgerTooNew(found=found, known=version)
        if conn.execute(_HAS_SCHEMA).fetchone() is None:
            conn.execute("CREATE SCHEMA ashore")
        if found == 0:
            conn.execute(_VERSION_TABLE)
        for number, upgrade in enumerate(_upgrades[found:], start=found + 1):
            conn.execute(upgrade)
            conn.execute(_NOTE, (number,))


def found_version(conn: Conn) -> int:
    """The version of the ledger in this database, 0 if there is none."""
    there = conn.execute(_IS_THERE).fetchone()
    if there is None or not there[0]:
        return 0
    row = conn.execute(_FOUND).fetchone()
    return 0 if row is None else int(row[0])


def check_ledger(conn: Conn) -> list[Problem]:
    """What is wrong with the ledger, for `ashore check`; changes nothing."""
    found = found_version(conn)
    if found <= version:
        return []
    error = LedgerTooNew(found=found, known=version)
    return [Problem(where="schema ashore", what=error.what(), hint=error.hint())]
