"""Version 4 of the ledger: what the way back costs and may cost, what stands in the way, and what was waived."""

from __future__ import annotations

from typing import Final, LiteralString

WAY_BACK: Final[LiteralString] = """
    ALTER TABLE ashore.reverse
        ADD COLUMN acknowledged bigint NOT NULL DEFAULT 0,
        ADD COLUMN units_limit double precision CHECK (units_limit > 0),
        ADD COLUMN units_per_second double precision CHECK (units_per_second > 0),
        ADD COLUMN owed_units double precision NOT NULL DEFAULT 0,
        ADD COLUMN owed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ADD COLUMN waited_seconds double precision NOT NULL DEFAULT 0;
    COMMENT ON COLUMN ashore.reverse.units_limit IS 'the cap that `ashore sync limit` set; Infinity for none';
    COMMENT ON COLUMN ashore.reverse.units_per_second IS 'the cap that the owner holds; NULL for none';
    COMMENT ON COLUMN ashore.reverse.owed_units IS 'what was consumed at `owed_at` beyond what the cap had allowed';

    CREATE TABLE ashore.difference (
        source text NOT NULL,
        entity text NOT NULL,
        key text NOT NULL,
        state bytea NOT NULL,
        found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (source, entity, key)
    );
    COMMENT ON TABLE ashore.difference IS 'keys on which the last verification found the stores to differ';
    COMMENT ON COLUMN ashore.difference.state IS 'a digest of both sides';

    CREATE TABLE ashore.waiver (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        source text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('rejected', 'parked', 'difference', 'foreign', 'refused')),
        entity text,
        key text NOT NULL,
        state bytea NOT NULL,
        what text NOT NULL,
        reason text NOT NULL CHECK (reason <> ''),
        until timestamptz NOT NULL,
        who text NOT NULL DEFAULT session_user,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        withdrawn_at timestamptz,
        withdrawn_by text
    );
    CREATE INDEX ON ashore.waiver (source, kind) WHERE withdrawn_at IS NULL;
    COMMENT ON TABLE ashore.waiver IS 'what stands in the way of a cutover, by key, and is passed by for a reason';
    COMMENT ON COLUMN ashore.waiver.state IS 'what stood in the way, as a digest: of anything later it says nothing';

    CREATE FUNCTION ashore.is_waived(of_source text, of_kind text, of_key text, of_state bytea) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
        SELECT EXISTS (SELECT FROM ashore.waiver w WHERE w.source = of_source AND w.kind = of_kind AND w.key = of_key
                       AND w.state = of_state AND w.withdrawn_at IS NULL AND w.until > clock_timestamp())
    $$;

    CREATE VIEW ashore.obstacle AS
        SELECT o.*, ashore.is_waived(o.source, o.kind, o.key, o.state) AS is_waived FROM (
            SELECT source, 'rejected' AS kind, entity, key, sha256(item || convert_to(reason, 'UTF8')) AS state,
                   reason AS what
            FROM ashore.rejected_item
            UNION ALL
            SELECT source, 'parked', entity, convert_from(key, 'UTF8'),
                   sha256(item || convert_to(conflict, 'UTF8')), conflict
            FROM ashore.parked_change
            UNION ALL
            SELECT source, 'difference', entity, key, state, 'found at ' || found_at::text FROM ashore.difference
            UNION ALL
            SELECT source, 'foreign', entity, key, convert_to(sequence::text, 'UTF8'), 'written at ' || at::text
            FROM ashore.foreign_write WHERE decision IS NULL
            UNION ALL
            SELECT source, 'refused', entity, to_jsonb(key)::text, convert_to(id::text, 'UTF8'), refused
            FROM ashore.outbox WHERE refused IS NOT NULL
        ) AS o;
    COMMENT ON VIEW ashore.obstacle IS 'what stands in the way of a cutover or a way back, by key';

    REVOKE ALL ON FUNCTION ashore.is_waived(text, text, text, bytea) FROM PUBLIC;
"""
