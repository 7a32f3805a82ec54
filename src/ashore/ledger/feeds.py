"""Which entities Ashore feeds to OpenSearch, to which index, and how far a rebuild of it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg import sql
from psycopg.rows import class_row

from ashore.postgres.connect import Conn, one_row

_FEEDS: Final = """
    SELECT entity, index_name, next_index, old_feed, notes_for_feed_only, since, rebuild_began_at, rebuild_after,
           rebuild_rows, rebuild_last_entry, rebuild_is_read, rebuilt_at
    FROM ashore.feed WHERE source = %s ORDER BY entity
"""
_BEGIN: Final = """
    INSERT INTO ashore.feed (source, entity, index_name, old_feed, notes_for_feed_only)
    VALUES (%(source)s, %(entity)s, %(index)s, %(old_feed)s, %(notes)s) ON CONFLICT (source, entity) DO NOTHING
"""
_FOR_FEED_ONLY: Final = """
    UPDATE ashore.feed SET notes_for_feed_only = true WHERE source = %(source)s AND entity = ANY(%(entities)s)
    RETURNING entity
"""
_END: Final = "DELETE FROM ashore.feed WHERE source = %(source)s AND entity = ANY(%(entities)s) RETURNING entity"
# Changing the row makes every draw fail that waits for this transaction: it reads anew, without the feed.
_STOP_DRAWS: Final = "UPDATE ashore.feeder SET version = version WHERE source = %(source)s RETURNING version"
_FORGET: Final = """
    UPDATE ashore.outbox SET fed = false, feed_refused = NULL
    WHERE source = %(source)s AND entity = ANY(%(entities)s) AND back AND (fed OR feed_refused IS NOT NULL)
"""
_DROP_ENTRIES: Final = """
    DELETE FROM ashore.outbox WHERE source = %(source)s AND entity = ANY(%(entities)s) AND NOT back
"""
_REBUILD: Final = """
    UPDATE ashore.feed SET rebuild_began_at = clock_timestamp(), rebuild_after = NULL, rebuild_rows = 0,
        rebuild_last_entry = NULL, rebuild_is_read = false,
        next_index = CASE WHEN index_name = %(index)s THEN NULL ELSE %(index)s END
    WHERE source = %(source)s AND entity = %(entity)s
"""
_LOCK_REBUILD: Final = """
    SELECT rebuild_after FROM ashore.feed
    WHERE source = %(source)s AND entity = %(entity)s AND rebuild_began_at = %(began)s AND NOT rebuild_is_read
    FOR NO KEY UPDATE
"""
_ADVANCE: Final = """
    UPDATE ashore.feed SET rebuild_after = coalesce(%(after)s, rebuild_after), rebuild_rows = rebuild_rows + %(rows)s,
        rebuild_last_entry = coalesce(%(last)s, rebuild_last_entry), rebuild_is_read = %(is_read)s
    WHERE source = %(source)s AND entity = %(entity)s
"""
_ENQUEUE: Final = """
    WITH put AS (
        INSERT INTO ashore.outbox (source, entity, key, back)
        SELECT {source}, {entity}, ARRAY[{columns}], false FROM unnest({lists}) AS k({columns})
        RETURNING id
    )
    SELECT max(id) FROM put
"""
_LEFT: Final = """
    SELECT count(*), count(*) FILTER (WHERE feed_refused IS NULL) FROM ashore.outbox
    WHERE source = %(source)s AND entity = %(entity)s AND NOT fed AND id <= %(last)s
"""
_REBUILT: Final = """
    UPDATE ashore.feed SET rebuilt_at = rebuild_began_at, rebuild_began_at = NULL, rebuild_after = NULL,
        index_name = coalesce(next_index, index_name), next_index = NULL
    WHERE source = %(source)s AND entity = %(entity)s AND rebuild_began_at = %(began)s AND rebuild_is_read
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One entity's feed. While `next_index` is being rebuilt, both indexes are fed.

    `rebuild_began_at` is None while none is under way; `rebuilt_at` is when the last complete one began, None where
    there was none: until then the index may lack documents, or hold old ones.
    """

    entity: str
    index_name: str
    next_index: str | None
    old_feed: str
    notes_for_feed_only: bool
    since: datetime
    rebuild_began_at: datetime | None
    rebuild_after: list[str] | None
    rebuild_rows: int
    rebuild_last_entry: int | None
    rebuild_is_read: bool
    rebuilt_at: datetime | None

    @property
    def indexes(self) -> tuple[str, ...]:
        """Where its documents go now."""
        return (self.index_name,) if self.next_index is None else (self.index_name, self.next_index)


def feeds(conn: Conn, source: str) -> dict[str, Feed]:
    """The feeds that are on, by entity."""
    with conn.cursor(row_factory=class_row(Feed)) as cursor:
        return {feed.entity: feed for feed in cursor.execute(_FEEDS, (source,))}


def begin(conn: Conn, source: str, entity: str, *, index: str, old_feed: str, notes_for_feed_only: bool) -> bool:
    """Feed an entity from now on; return False where it is fed already, which is left as it is."""
    arguments = {
        "source": source,
        "entity": entity,
        "index": index,
        "old_feed": old_feed,
        "notes": notes_for_feed_only,
    }
    return conn.execute(_BEGIN, arguments).rowcount == 1


def notes_are_for_feed_only(conn: Conn, source: str, entities: Sequence[str]) -> list[str]:
    """Say that nothing of these entities is written back any more; return those that are fed."""
    rows = conn.execute(_FOR_FEED_ONLY, {"source": source, "entities": list(entities)})
    return [entity for (entity,) in rows]


def end(conn: Conn, source: str, entities: Sequence[str]) -> tuple[list[str], int]:
    """Feed these entities no more; return those that were, and the last version that may be of them.

    The caller's transaction. What was noted for the feed alone is forgotten; what is to be written back stays.
    """
    arguments = {"source": source, "entities": list(entities)}
    row = conn.execute(_STOP_DRAWS, arguments).fetchone()
    ended = [entity for (entity,) in conn.execute(_END, arguments)]
    for statement in (_DROP_ENTRIES, _FORGET):
        conn.execute(statement, {"source": source, "entities": ended})
    return ended, 0 if row is None else int(row[0])


def begin_rebuild(conn: Conn, source: str, entity: str, index: str) -> None:
    """Begin a rebuild from the first row on; an unfinished one is given up. Another index is fed too from now on."""
    conn.execute(_REBUILD, {"source": source, "entity": entity, "index": index})


def lock_rebuild(conn: Conn, source: str, entity: str, began: datetime) -> tuple[list[str] | None] | None:
    """The last row key that was read, for the caller's transaction alone; None where there is nothing to read."""
    arguments = {"source": source, "entity": entity, "began": began}
    row = conn.execute(_LOCK_REBUILD, arguments).fetchone()
    return None if row is None else (row[0],)


def enqueue(conn: Conn, source: str, entity: str, keys: Sequence[Sequence[str]], *, is_read: bool) -> None:
    """Have the documents of these row keys made anew, and go on behind the last one; in the caller's transaction."""
    last = None
    if keys:
        names = [sql.Identifier(f"k{place}") for place, _ in enumerate(keys[0])]
        statement = sql.SQL(_ENQUEUE).format(
            source=sql.Literal(source),
            entity=sql.Literal(entity),
            columns=sql.SQL(", ").join(names),
            lists=sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in names),
        )
        last = one_row(conn.execute(statement, [[key[place] for key in keys] for place, _ in enumerate(names)]))[0]
    arguments: dict[str, Any] = {
        "source": source,
        "entity": entity,
        "after": list(keys[-1]) if keys else None,
        "rows": len(keys),
        "last": last,
        "is_read": is_read,
    }
    conn.execute(_ADVANCE, arguments)


def rebuild_left(conn: Conn, source: str, feed: Feed) -> tuple[int, int]:
    """How many entries up to the rebuild's last the index does not have yet: all, and those that are not refused."""
    arguments = {"source": source, "entity": feed.entity, "last": feed.rebuild_last_entry or 0}
    every, waiting = one_row(conn.execute(_LEFT, arguments))
    return int(every), int(waiting)


def end_rebuild(conn: Conn, source: str, feed: Feed) -> bool:
    """Say that a rebuild is complete, and let its index take the earlier one's place; False where it is another's."""
    arguments = {"source": source, "entity": feed.entity, "began": feed.rebuild_began_at}
    return conn.execute(_REBUILT, arguments).rowcount == 1
