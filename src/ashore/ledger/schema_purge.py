"""Version 6 of the ledger: what is deleted from DynamoDB once the way back is closed, and how far that is."""

from __future__ import annotations

from typing import Final, LiteralString

VERSION_6: Final[LiteralString] = """
    CREATE TABLE ashore.purge (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        source text NOT NULL,
        entities text[] NOT NULL,
        origin jsonb NOT NULL,
        said jsonb NOT NULL,
        kept_in text,
        run integer NOT NULL DEFAULT 1,
        host text NOT NULL,
        pid integer NOT NULL,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        run_started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ended_at timestamptz
    );
    CREATE UNIQUE INDEX purge_unfinished ON ashore.purge (source) WHERE ended_at IS NULL;
    COMMENT ON TABLE ashore.purge IS 'purges of retired entities: their items are deleted from DynamoDB';
    COMMENT ON COLUMN ashore.purge.said IS 'what the user said for the gates';
    COMMENT ON COLUMN ashore.purge.kept_in IS 'the folder that each item is written to before it is deleted';
    COMMENT ON COLUMN ashore.purge.run IS 'counts the runs of this purge; an older run can note nothing more';

    CREATE TABLE ashore.purge_unit (
        purge bigint NOT NULL REFERENCES ashore.purge,
        ordinal integer NOT NULL,
        name text NOT NULL,
        about json NOT NULL,
        position json,
        pages bigint NOT NULL DEFAULT 0,
        items_read bigint NOT NULL DEFAULT 0,
        read_units double precision NOT NULL DEFAULT 0,
        write_units double precision NOT NULL DEFAULT 0,
        kept_bytes bigint NOT NULL DEFAULT 0,
        intended json,
        done boolean NOT NULL DEFAULT false,
        PRIMARY KEY (purge, name)
    ) WITH (fillfactor = 50);
    COMMENT ON COLUMN ashore.purge_unit.position IS 'json, not jsonb: a key may hold U+0000';
    COMMENT ON COLUMN ashore.purge_unit.kept_bytes IS 'how much of the unit''s file is whole';
    COMMENT ON COLUMN ashore.purge_unit.intended IS 'entity, kind and key of the items that are being deleted';

    CREATE TABLE ashore.purge_count (
        purge bigint NOT NULL REFERENCES ashore.purge,
        entity text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('row', 'copy', 'mirror', 'other')),
        outcome text NOT NULL CHECK (outcome IN ('deleted', 'gone', 'changed', 'foreign', 'without_row',
                                                 'unreadable', 'not_touched')),
        items bigint NOT NULL,
        PRIMARY KEY (purge, entity, kind, outcome)
    ) WITH (fillfactor = 50);
"""
