"""Version 2 of the ledger: a table's stream, what was captured of it, and what waits."""

from __future__ import annotations

from typing import Final, LiteralString

VERSION_2: Final[LiteralString] = """
    ALTER TABLE ashore.load ADD COLUMN is_captured boolean NOT NULL DEFAULT false, ADD COLUMN rows_ended_at timestamptz;
    COMMENT ON COLUMN ashore.load.is_captured IS 'the stream is captured beside it: it ends in merging, not in loaded';

    CREATE TABLE ashore.stream (
        source text PRIMARY KEY,
        arn text NOT NULL,
        origin jsonb NOT NULL,
        state text NOT NULL CHECK (state IN ('running', 'paused', 'stopped')),
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        listed_at timestamptz,
        since timestamptz NOT NULL DEFAULT clock_timestamp(),
        marking text NOT NULL DEFAULT 'off' CHECK (marking IN ('off', 'on', 'refused', 'unfit')),
        wanted_at timestamptz,
        wanted_since timestamptz,
        markers_sent bigint NOT NULL DEFAULT 0,
        timed_to timestamptz
    );
    COMMENT ON COLUMN ashore.stream.wanted_at IS 'markers are to show that every shard has passed this';
    COMMENT ON COLUMN ashore.stream.timed_to IS 'up to this, time counts for the shards that returned no marker';

    CREATE TABLE ashore.marker_round (
        round uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        source text NOT NULL REFERENCES ashore.stream ON DELETE CASCADE,
        written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        markers integer NOT NULL
    );
    COMMENT ON TABLE ashore.marker_round IS 'markers that may be in the DynamoDB table: gone once they are removed';

    CREATE TABLE ashore.shard (
        source text NOT NULL REFERENCES ashore.stream ON DELETE CASCADE,
        shard text NOT NULL,
        parent text,
        first numeric,
        position numeric,
        state text NOT NULL CHECK (state IN ('open', 'ended', 'skipped', 'lost')),
        at_horizon boolean NOT NULL,
        listed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ended_at timestamptz,
        owner text,
        fence bigint NOT NULL DEFAULT 0,
        lease_until timestamptz,
        batches bigint NOT NULL DEFAULT 0,
        records bigint NOT NULL DEFAULT 0,
        newest_record_at timestamptz,
        written_at timestamptz,
        passed_at timestamptz,
        marked_at timestamptz,
        skipped_at timestamptz,
        PRIMARY KEY (source, shard)
    ) WITH (fillfactor = 50);
    COMMENT ON COLUMN ashore.shard.position IS 'sequence number of the last record whose effect is committed';
    COMMENT ON COLUMN ashore.shard.passed_at IS 'by time: every record older than this was committed';
    COMMENT ON COLUMN ashore.shard.marked_at IS 'by a marker: every record older than this was committed';
    COMMENT ON COLUMN ashore.shard.skipped_at IS 'when it was decided to go on after a gap, at the oldest record';

    CREATE TABLE ashore.sync_worker (
        source text NOT NULL REFERENCES ashore.stream ON DELETE CASCADE,
        worker text NOT NULL,
        host text NOT NULL,
        pid integer NOT NULL,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        alive_until timestamptz NOT NULL,
        changes_per_s double precision NOT NULL DEFAULT 0,
        PRIMARY KEY (source, worker)
    ) WITH (fillfactor = 50);
    COMMENT ON COLUMN ashore.sync_worker.changes_per_s IS 'over the last minute or so';

    CREATE TABLE ashore.sync_count (
        source text NOT NULL REFERENCES ashore.stream ON DELETE CASCADE,
        shard text NOT NULL,
        entity text NOT NULL,
        outcome text NOT NULL,
        changes bigint NOT NULL,
        PRIMARY KEY (source, shard, entity, outcome)
    ) WITH (fillfactor = 50);
    COMMENT ON COLUMN ashore.sync_count.shard IS 'empty for merges, repairs, and shards that were forgotten';

    CREATE TABLE ashore.gap (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        source text NOT NULL,
        shard text,
        kind text NOT NULL CHECK (kind IN ('trimmed', 'vanished', 'unknown_start', 'unlisted_parent')),
        after numeric,
        known_at timestamptz,
        found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        decision text CHECK (decision IN ('repair', 'reload')),
        asked_at timestamptz,
        repaired_at timestamptz
    );
    COMMENT ON COLUMN ashore.gap.known_at IS 'up to this moment nothing was missing';
    COMMENT ON COLUMN ashore.gap.asked_at IS 'every key that it may concern was in the repair queue';
    CREATE INDEX ON ashore.gap (source) WHERE repaired_at IS NULL;

    CREATE TABLE ashore.written_mark (
        source text NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        xid xid8 NOT NULL,
        PRIMARY KEY (source, at)
    );
    COMMENT ON TABLE ashore.written_mark IS 'a row version that was committed after this moment has no older xmin';

    CREATE TABLE ashore.pending_change (
        load bigint NOT NULL REFERENCES ashore.load,
        entity text NOT NULL,
        key_hash uuid NOT NULL,
        key bytea NOT NULL,
        item bytea,
        is_expiry boolean NOT NULL,
        at timestamptz NOT NULL,
        shard text NOT NULL,
        sequence numeric NOT NULL,
        PRIMARY KEY (load, entity, key_hash)
    ) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
            toast.autovacuum_vacuum_scale_factor = 0.02);
    COMMENT ON TABLE ashore.pending_change IS 'captured while its entity loads: one row a key, the newest word on it';

    CREATE TABLE ashore.parked_change (
        source text NOT NULL,
        entity text NOT NULL,
        key_hash uuid NOT NULL,
        key bytea NOT NULL,
        item bytea NOT NULL,
        at timestamptz NOT NULL,
        conflict text NOT NULL,
        parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        tries bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (source, entity, key_hash)
    );
    COMMENT ON TABLE ashore.parked_change IS 'waits for another key to give up a UNIQUE value; its row is not there';

    CREATE TABLE ashore.repair (
        source text NOT NULL,
        key_hash uuid NOT NULL,
        key bytea NOT NULL,
        entity text,
        reason text NOT NULL,
        asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        touched bigint NOT NULL DEFAULT 0,
        tries bigint NOT NULL DEFAULT 0,
        not_before timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (source, key_hash)
    );
    COMMENT ON COLUMN ashore.repair.touched IS 'counts the stream''s changes of this key since it was asked for';

    ALTER TABLE ashore.rejected_item ADD COLUMN waits_for text;
    COMMENT ON COLUMN ashore.rejected_item.waits_for IS 'digest of the row key that it shares, or of its original''s';
    CREATE INDEX ON ashore.rejected_item USING hash (key);
    CREATE INDEX ON ashore.rejected_item (source, waits_for) WHERE waits_for IS NOT NULL;
    CREATE INDEX ON ashore.verification (source, at);

    ALTER TABLE ashore.entity ADD COLUMN as_of timestamptz;
    COMMENT ON COLUMN ashore.entity.as_of IS 'the moment that its rows stayed at when their sync was stopped';
"""

# A shard that was not read yet has nothing older than what its parent had passed: it came when its parent ended.
FRESHNESS: Final[LiteralString] = """
    CREATE VIEW ashore.stream_freshness AS
    WITH RECURSIVE bound (source, shard, parent, as_of) AS (
        SELECT s.source, s.shard, s.parent, greatest(s.passed_at, s.marked_at) FROM ashore.shard s
        WHERE s.state IN ('open', 'lost') OR s.state = 'ended' AND NOT EXISTS (
            SELECT FROM ashore.shard c WHERE c.source = s.source AND c.parent = s.shard)
        UNION ALL
        SELECT b.source, b.shard, p.parent, greatest(p.passed_at, p.marked_at)
        FROM bound b JOIN ashore.shard p ON p.source = b.source AND p.shard = b.parent WHERE b.as_of IS NULL
    ), known AS (
        SELECT source, shard, max(as_of) AS as_of FROM bound GROUP BY source, shard
    )
    SELECT t.source, t.state, CASE WHEN bool_and(k.as_of IS NOT NULL) THEN min(k.as_of) END AS as_of
    FROM ashore.stream t LEFT JOIN known k ON k.source = t.source GROUP BY t.source;
    COMMENT ON VIEW ashore.stream_freshness IS 'every change of a stream that is older than as_of is committed';

    CREATE VIEW ashore.freshness AS
    SELECT e.source, e.entity, e.state, CASE WHEN e.state IN ('syncing', 'reading') THEN t.state END AS sync,
        CASE WHEN e.state IN ('syncing', 'reading') AND NOT EXISTS (
                 SELECT FROM ashore.gap g
                 WHERE g.source = e.source AND g.decision = 'repair' AND g.repaired_at IS NULL) THEN t.as_of
             WHEN e.state = 'loaded' AND l.is_captured THEN e.as_of
             WHEN e.state = 'loaded' AND l.origin ->> 'kind' = 'table' THEN l.started_at
        END AS as_of,
        (SELECT count(*) FROM ashore.rejected_item r WHERE r.source = e.source AND r.entity = e.entity) AS rejected,
        (SELECT count(*) FROM ashore.parked_change p WHERE p.source = e.source AND p.entity = e.entity) AS parked
    FROM ashore.entity e LEFT JOIN ashore.load l ON l.id = e.load
        LEFT JOIN ashore.stream_freshness t ON t.source = e.source
    WHERE e.entity <> '';
    COMMENT ON VIEW ashore.freshness IS 'for readers of the tables: all that is older than as_of is in them';
"""

LISTED_WHOLE: Final[LiteralString] = """
    ALTER TABLE ashore.stream ADD COLUMN listed_whole_at timestamptz;
    COMMENT ON COLUMN ashore.stream.listed_whole_at IS 'every shard that there was at this moment is known';
"""
