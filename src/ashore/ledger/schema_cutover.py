"""Version 3 of the ledger: who writes where, the fence between the two, and what flows back.

`ashore.routes` is the contract with applications, in whatever language: see docs/reference/routes.md.
"""

from __future__ import annotations

from typing import Final, LiteralString

VERSION_3: Final[LiteralString] = """
    ALTER TABLE ashore.entity
        ADD COLUMN came_from text CHECK (came_from IN ('syncing', 'reading', 'writing')),
        ADD COLUMN deadline timestamptz,
        ADD COLUMN epoch bigint NOT NULL DEFAULT 0,
        ADD CONSTRAINT held_with_a_deadline CHECK (
            (state IN ('draining', 'returning')) = (deadline IS NOT NULL)
            AND (state IN ('draining', 'returning')) = (came_from IS NOT NULL));
    COMMENT ON COLUMN ashore.entity.came_from IS 'where a held entity goes back to when its deadline has passed';
    COMMENT ON COLUMN ashore.entity.epoch IS 'counts the changes of its state since the first cutover';

    CREATE TABLE ashore.crossing (
        source text PRIMARY KEY,
        validity_ms integer NOT NULL CHECK (validity_ms BETWEEN 100 AND 3600000),
        longest_validity_ms integer NOT NULL,
        since timestamptz NOT NULL DEFAULT clock_timestamp(),
        CHECK (longest_validity_ms >= validity_ms)
    );
    COMMENT ON COLUMN ashore.crossing.validity_ms IS 'how long an application may act on what ashore.routes told it';
    COMMENT ON COLUMN ashore.crossing.longest_validity_ms IS
        'the longest of before: a fence waits for it until twice its time is over';

    CREATE TABLE ashore.guard (
        source text NOT NULL,
        entity text NOT NULL,
        table_name text NOT NULL,
        role text NOT NULL DEFAULT '',
        privileges text[] NOT NULL DEFAULT '{}',
        PRIMARY KEY (source, entity, table_name, role)
    );
    COMMENT ON TABLE ashore.guard IS 'what keeps writers off a table while DynamoDB takes the writes';
    COMMENT ON COLUMN ashore.guard.role IS 'who loses its privileges meanwhile; empty for the statement-level trigger';
    COMMENT ON COLUMN ashore.guard.privileges IS 'what the role gets back when PostgreSQL takes the writes';

    CREATE TABLE ashore.outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        source text NOT NULL,
        entity text NOT NULL,
        key text[] NOT NULL,
        was jsonb,
        refused text,
        at timestamptz NOT NULL DEFAULT clock_timestamp()
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
    CREATE INDEX ON ashore.outbox (source, id);
    COMMENT ON TABLE ashore.outbox IS 'keys of rows that the application wrote and DynamoDB does not have yet';
    COMMENT ON COLUMN ashore.outbox.key IS 'the row''s primary key as text';
    COMMENT ON COLUMN ashore.outbox.was IS 'of a row that was there before: what its item''s key is made of';
    COMMENT ON COLUMN ashore.outbox.refused IS 'why DynamoDB cannot hold the row as it is; it closes the way back';

    CREATE TABLE ashore.reverse (
        source text PRIMARY KEY,
        owner text,
        fence bigint NOT NULL DEFAULT 0,
        lease_until timestamptz,
        passed_at timestamptz,
        written bigint NOT NULL DEFAULT 0,
        removed bigint NOT NULL DEFAULT 0,
        write_units double precision NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50);
    COMMENT ON COLUMN ashore.reverse.passed_at IS 'what was committed before this is in DynamoDB';

    CREATE TABLE ashore.echo (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        source text NOT NULL,
        key_hash uuid NOT NULL,
        image bytea,
        at timestamptz NOT NULL DEFAULT clock_timestamp()
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
    CREATE INDEX ON ashore.echo (source, key_hash);
    CREATE INDEX ON ashore.echo (at);
    COMMENT ON TABLE ashore.echo IS 'what was written back, before it was: the stream will tell it again';
    COMMENT ON COLUMN ashore.echo.image IS 'digest of the item; NULL for a deletion';

    CREATE TABLE ashore.foreign_write (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        source text NOT NULL,
        entity text NOT NULL,
        key text NOT NULL,
        key_hash uuid NOT NULL,
        sequence numeric NOT NULL,
        is_expiry boolean NOT NULL,
        at timestamptz NOT NULL,
        found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        decision text CHECK (decision IN ('dropped', 'taken')),
        decided_at timestamptz,
        UNIQUE (source, key_hash, sequence)
    );
    CREATE INDEX ON ashore.foreign_write (source) WHERE decision IS NULL;
    COMMENT ON TABLE ashore.foreign_write IS 'changes of DynamoDB by others while PostgreSQL has the writes';

    CREATE FUNCTION ashore.return_overdue(of_source text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        now timestamptz;
        returned integer := 0;
        one record;
        kept record;
    BEGIN
        PERFORM 1 FROM ashore.entity WHERE source = of_source AND deadline <= clock_timestamp();
        IF NOT FOUND THEN
            RETURN 0;
        END IF;
        PERFORM 1 FROM ashore.entity WHERE source = of_source ORDER BY entity FOR UPDATE;
        now := clock_timestamp();
        FOR one IN SELECT entity, state, came_from FROM ashore.entity
                   WHERE source = of_source AND state IN ('draining', 'returning') AND deadline <= now
        LOOP
            IF one.came_from = 'writing' THEN
                FOR kept IN SELECT table_name, role, privileges FROM ashore.guard
                            WHERE source = of_source AND entity = one.entity AND role <> '' AND privileges <> '{}'
                LOOP
                    EXECUTE format('GRANT %s ON %s TO %I', array_to_string(kept.privileges, ', '),
                                   kept.table_name::regclass, kept.role);
                END LOOP;
            END IF;
            UPDATE ashore.entity SET state = one.came_from, came_from = NULL, deadline = NULL, epoch = epoch + 1,
                                     since = now
            WHERE source = of_source AND entity = one.entity;
            INSERT INTO ashore.audit (command, detail) VALUES ('deadline passed', jsonb_build_object(
                'source', of_source, 'entity', one.entity, 'from', one.state, 'to', one.came_from));
            returned := returned + 1;
        END LOOP;
        RETURN returned;
    END $$;
    COMMENT ON FUNCTION ashore.return_overdue(text) IS
        'whoever asks sends entities back that are held longer than they may be; the number that were';

    CREATE FUNCTION ashore.routes(of_source text) RETURNS TABLE (
        entity text, state text, epoch bigint, reads text, feeding_reads text, writes text, validity_ms integer,
        held_ms integer, lag_ms bigint
    )
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        passed timestamptz;
    BEGIN
        IF pg_is_in_recovery() THEN
            RAISE EXCEPTION 'a standby does not know who writes now'
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'ask the primary';
        END IF;
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE EXCEPTION 'a transaction of isolation level % sees who wrote when it began, not who writes now',
                current_setting('transaction_isolation')
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'ask outside of it';
        END IF;
        PERFORM ashore.return_overdue(of_source);
        SELECT CASE WHEN bool_and(s.state = 'ended' AND EXISTS (
                             SELECT FROM ashore.shard c WHERE c.source = s.source AND c.parent = s.shard)
                           OR s.state = 'open' AND greatest(s.passed_at, s.marked_at) IS NOT NULL)
                    THEN min(greatest(s.passed_at, s.marked_at)) FILTER (WHERE s.state = 'open') END
        INTO passed FROM ashore.shard s WHERE s.source = of_source AND s.state <> 'skipped';
        RETURN QUERY
        SELECT e.entity, e.state, e.epoch,
               CASE WHEN e.state IN ('reading', 'writing', 'returning', 'retired')
                      OR e.state = 'draining' AND e.came_from = 'reading' THEN 'postgres' ELSE 'dynamodb' END,
               CASE WHEN e.state IN ('writing', 'returning', 'retired') THEN 'postgres' ELSE 'dynamodb' END,
               CASE WHEN e.state IN ('writing', 'retired') THEN 'postgres'
                    WHEN e.state IN ('draining', 'returning') THEN 'held' ELSE 'dynamodb' END,
               coalesce(c.validity_ms, 5000),
               CASE WHEN e.deadline IS NOT NULL
                    THEN greatest(0, ceil(extract(epoch FROM e.deadline - clock_timestamp()) * 1000))::integer END,
               CASE WHEN passed IS NOT NULL
                    THEN greatest(0, ceil(extract(epoch FROM clock_timestamp() - passed) * 1000))::bigint END
        FROM ashore.entity e LEFT JOIN ashore.crossing c ON c.source = e.source
        WHERE e.source = of_source AND e.entity <> '';
    END $$;
    COMMENT ON FUNCTION ashore.routes(text) IS 'which store reads and writes of each entity go to now';

    CREATE FUNCTION ashore.guard() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        found text;
    BEGIN
        IF current_setting('ashore.works', true) = 'yes' THEN
            RETURN NULL;
        END IF;
        IF current_setting('transaction_isolation') = 'read committed' THEN
            SELECT state INTO found FROM ashore.entity WHERE source = TG_ARGV[0] AND entity = TG_ARGV[1];
        ELSE
            SELECT state INTO found FROM ashore.entity WHERE source = TG_ARGV[0] AND entity = TG_ARGV[1] FOR SHARE;
        END IF;
        IF found IN ('writing', 'retired') THEN
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'table %.% takes no writes: those of % go to DynamoDB, or are held (state %)',
            TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[1], coalesce(found, 'unknown')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'write where ashore.routes says; ashore.app does that';
    END $$;
    COMMENT ON FUNCTION ashore.guard() IS 'refuses statements that write while DynamoDB takes the writes';

    CREATE FUNCTION ashore.no_truncate() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        RAISE EXCEPTION 'table %.% cannot be truncated while its rows are written back to DynamoDB',
            TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'use DELETE: it tells which rows are gone';
    END $$;

    REVOKE ALL ON FUNCTION ashore.return_overdue(text), ashore.routes(text), ashore.guard(), ashore.no_truncate()
        FROM PUBLIC;
"""
