"""The part of version 3 that holds what shadow reads found: counts and names, never values."""

from __future__ import annotations

from typing import Final, LiteralString

SHADOW_READS: Final[LiteralString] = """
    CREATE TABLE ashore.shadow_read (
        source text NOT NULL,
        entity text NOT NULL,
        call text NOT NULL,
        equal bigint NOT NULL,
        settled bigint NOT NULL,
        different bigint NOT NULL,
        failed bigint NOT NULL,
        slow bigint NOT NULL,
        dropped bigint NOT NULL,
        dynamodb_times bigint[] NOT NULL,
        postgres_times bigint[] NOT NULL,
        first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (source, entity, call)
    ) WITH (fillfactor = 50);
    COMMENT ON COLUMN ashore.shadow_read.settled IS 'different at first, equal when both were read again';
    COMMENT ON COLUMN ashore.shadow_read.dynamodb_times IS 'the nth: how many took less than 0.1 ms * 1.25^n';

    CREATE TABLE ashore.shadow_difference (
        source text NOT NULL,
        entity text NOT NULL,
        call text NOT NULL,
        field text NOT NULL,
        kind text NOT NULL,
        count bigint NOT NULL,
        first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (source, entity, call, field, kind)
    ) WITH (fillfactor = 50);
    COMMENT ON TABLE ashore.shadow_difference IS 'where the answers of a call differed, by the names of their fields';

    CREATE FUNCTION ashore.note_shadow_reads(of_source text, noted jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        INSERT INTO ashore.shadow_read AS s
            (source, entity, call, equal, settled, different, failed, slow, dropped, dynamodb_times, postgres_times)
        SELECT of_source, n.* FROM jsonb_to_recordset(noted) AS n (
            entity text, call text, equal bigint, settled bigint, different bigint, failed bigint, slow bigint,
            dropped bigint, dynamodb_times bigint[], postgres_times bigint[])
        ORDER BY n.entity, n.call
        ON CONFLICT (source, entity, call) DO UPDATE SET
            equal = s.equal + excluded.equal, settled = s.settled + excluded.settled,
            different = s.different + excluded.different, failed = s.failed + excluded.failed,
            slow = s.slow + excluded.slow, dropped = s.dropped + excluded.dropped, last_at = excluded.last_at,
            dynamodb_times = (SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY n) FROM unnest(
                s.dynamodb_times, excluded.dynamodb_times) WITH ORDINALITY AS t (a, b, n)),
            postgres_times = (SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY n) FROM unnest(
                s.postgres_times, excluded.postgres_times) WITH ORDINALITY AS t (a, b, n));
        INSERT INTO ashore.shadow_difference AS d (source, entity, call, field, kind, count)
        SELECT of_source, n.entity, n.call, f.field, f.kind, f.count
        FROM jsonb_to_recordset(noted) AS n (entity text, call text, differences jsonb),
             jsonb_to_recordset(n.differences) AS f (field text, kind text, count bigint)
        ORDER BY n.entity, n.call, f.field, f.kind
        ON CONFLICT (source, entity, call, field, kind) DO UPDATE SET
            count = d.count + excluded.count, last_at = excluded.last_at;
    END $$;
    COMMENT ON FUNCTION ashore.note_shadow_reads(text, jsonb) IS 'adds what an instance of the application counted';
    REVOKE ALL ON FUNCTION ashore.note_shadow_reads(text, jsonb) FROM PUBLIC;
"""
