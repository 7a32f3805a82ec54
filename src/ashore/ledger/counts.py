"""How many changes of a stream had which outcome: kept in the transactions that wrote them, so that they are true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ashore.postgres.connect import Conn

_KEEP: Final = """
    INSERT INTO ashore.sync_count AS k (source, shard, entity, outcome, changes)
    SELECT %(source)s, %(shard)s, c.entity, c.outcome, c.changes
    FROM unnest(%(entities)s::text[], %(outcomes)s::text[], %(changes)s::bigint[]) AS c(entity, outcome, changes)
    ON CONFLICT (source, shard, entity, outcome) DO UPDATE SET changes = k.changes + excluded.changes
"""
_COUNTS: Final = """
    SELECT entity, outcome, sum(changes)::bigint FROM ashore.sync_count WHERE source = %s
    GROUP BY entity, outcome ORDER BY entity, outcome
"""


def keep_counts(conn: Conn, source: str, counts: Mapping[tuple[str, str], int], *, shard: str = "") -> None:
    """Add changes by entity and outcome, in the transaction that wrote them.

    Each shard has rows of its own, so that workers never wait for each other here; what is no shard's batch (merges,
    repairs, parked changes) is written by one worker of all.
    """
    kept = sorted((key, number) for key, number in counts.items() if number)
    if kept:
        arguments = {
            "entities": [entity for (entity, _), _ in kept],
            "outcomes": [outcome for (_, outcome), _ in kept],
            "changes": [number for _, number in kept],
        }
        conn.execute(_KEEP, {"source": source, "shard": shard, **arguments})


def counts_of(conn: Conn, source: str) -> dict[tuple[str, str], int]:
    """Changes by entity ("": of none) and outcome since the stream was begun.

    A change that was captured is counted once more when it is merged. Of several changes of one key in one page only
    the last one counts.
    """
    return {(entity, outcome): changes for entity, outcome, changes in conn.execute(_COUNTS, (source,))}
