"""Version 5 of the ledger: what feeds OpenSearch, and which entries of the outbox each of its two readers is through.

An entry is deleted by whoever is the last through it: reverse sync (`back`) or the feed (`fed`).
"""

from __future__ import annotations

from typing import Final, LiteralString

VERSION_5: Final[LiteralString] = """
    CREATE TABLE ashore.feed (
        source text NOT NULL,
        entity text NOT NULL,
        index_name text NOT NULL,
        next_index text,
        old_feed text NOT NULL,
        notes_for_feed_only boolean NOT NULL,
        since timestamptz NOT NULL DEFAULT clock_timestamp(),
        rebuild_began_at timestamptz,
        rebuild_after text[],
        rebuild_rows bigint NOT NULL DEFAULT 0,
        rebuild_last_entry bigint,
        rebuild_is_read boolean NOT NULL DEFAULT false,
        rebuilt_at timestamptz,
        PRIMARY KEY (source, entity)
    ) WITH (fillfactor = 50);
    COMMENT ON TABLE ashore.feed IS 'entities whose documents Ashore feeds to OpenSearch';
    COMMENT ON COLUMN ashore.feed.next_index IS 'an index that is being rebuilt: fed too until it takes over';
    COMMENT ON COLUMN ashore.feed.old_feed IS 'how the earlier feed was switched off, in the user''s words';
    COMMENT ON COLUMN ashore.feed.notes_for_feed_only IS
        'whether the triggers on the entity''s tables are there for the feed alone: nothing is written back';
    COMMENT ON COLUMN ashore.feed.rebuild_after IS 'the last row key that a rebuild has read; NULL at its beginning';
    COMMENT ON COLUMN ashore.feed.rebuilt_at IS 'when the last complete rebuild began';

    CREATE TABLE ashore.feeder (
        source text PRIMARY KEY,
        owner text,
        fence bigint NOT NULL DEFAULT 0,
        lease_until timestamptz,
        busy_until timestamptz,
        version bigint NOT NULL DEFAULT 0,
        passed_at timestamptz,
        indexed bigint NOT NULL DEFAULT 0,
        deleted bigint NOT NULL DEFAULT 0,
        versions_of_others bigint NOT NULL DEFAULT 0,
        other_seen_at timestamptz
    ) WITH (fillfactor = 50);
    COMMENT ON COLUMN ashore.feeder.busy_until IS 'until when a request may be under way';
    COMMENT ON COLUMN ashore.feeder.version IS
        'the external version drawn last: microseconds since 1970 in whole milliseconds, growing with each snapshot';
    COMMENT ON COLUMN ashore.feeder.passed_at IS 'what was committed before this is in the index';
    COMMENT ON COLUMN ashore.feeder.versions_of_others IS 'documents met with a version that Ashore never drew';

    ALTER TABLE ashore.outbox
        ADD COLUMN back boolean NOT NULL DEFAULT true,
        ADD COLUMN fed boolean NOT NULL DEFAULT false,
        ADD COLUMN feed_refused text;
    DROP INDEX ashore.outbox_source_id_idx;
    CREATE INDEX outbox_back ON ashore.outbox (source, id) WHERE back;
    CREATE INDEX outbox_to_feed ON ashore.outbox (source, id) WHERE NOT fed;
    COMMENT ON TABLE ashore.outbox IS
        'keys of rows that the application wrote and DynamoDB, or the index that is fed, does not have yet';
    COMMENT ON COLUMN ashore.outbox.back IS 'whether it is still to be written back to DynamoDB';
    COMMENT ON COLUMN ashore.outbox.fed IS 'whether OpenSearch has it; of no meaning while the entity is not fed';
    COMMENT ON COLUMN ashore.outbox.feed_refused IS 'why OpenSearch does not take the document as it is';
"""
