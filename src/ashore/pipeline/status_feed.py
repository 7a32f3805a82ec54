"""How far the feed of OpenSearch is, as the ledger says."""

from __future__ import annotations

from dataclasses import dataclass

from ashore.ledger import feeder, feeds
from ashore.model.item import mask
from ashore.postgres.connect import Conn


@dataclass(frozen=True, slots=True, kw_only=True)
class FedEntity:
    """An entity whose documents Ashore feeds. `is_complete` is False until a rebuild came to its end.

    `rebuilding` is the index that is being rebuilt, None while none is, and `rows_read` how far that is.
    """

    entity: str
    index: str
    since: str
    is_complete: bool
    rebuilding: str | None
    rows_read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatus:
    """How far OpenSearch is behind PostgreSQL; None in `Status` while nothing is fed.

    `refused` names entity, row key and reason of documents that are not in the index, at most 100. `others` counts
    documents that another feed wrote after ours was begun: one feed at a time.
    """

    entities: tuple[FedEntity, ...]
    waiting: int
    behind_seconds: float
    indexed: int
    deleted: int
    is_fed: bool
    refused: tuple[str, ...]
    refused_entries: int
    others: int


def feed_status(conn: Conn, source: str) -> FeedStatus | None:
    """How far it is; None where no entity is fed."""
    on = feeds.feeds(conn, source)
    if not on:
        return None
    standing = feeder.standing(conn, source)
    behind = 0.0 if standing.oldest is None else (standing.now - standing.oldest).total_seconds()
    refused = feeder.refused(conn, source)
    return FeedStatus(
        entities=tuple(
            FedEntity(
                entity=name,
                index=one.index_name,
                since=one.since.isoformat(),
                is_complete=one.rebuilt_at is not None,
                rebuilding=None if one.rebuild_began_at is None else one.next_index or one.index_name,
                rows_read=one.rebuild_rows,
            )
            for name, one in on.items()
        ),
        waiting=standing.entries - standing.refused,
        behind_seconds=round(behind, 1),
        indexed=standing.indexed,
        deleted=standing.deleted,
        is_fed=standing.owner is not None,
        refused=tuple(f"{entity} {mask(chr(0).join(key))}: {reason}" for entity, key, reason in refused),
        refused_entries=standing.refused,
        others=standing.versions_of_others,
    )
