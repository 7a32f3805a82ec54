"""Keeping up with the stream's list of shards: new ones are found, vanished ones are noticed."""

from __future__ import annotations

from ashore.ledger import streams
from ashore.ledger.streams import ShardRecord, StreamRecord
from ashore.postgres.connect import Conn, one_row
from ashore.sync.errors import StreamReplaced
from ashore.sync.order import SyncOrder
from ashore.sync.start import info_name, readable_stream


def list_shards(conn: Conn, order: SyncOrder, stream: StreamRecord) -> list[ShardRecord]:
    """Note the shards that the stream has now; return those that are gone and were not read to their end.

    Each page of the listing is kept by itself, so that a long listing makes progress even where it fails. Idempotent.

    Raises:
        StreamReplaced, NoStream: The stream that is read is no longer the table's.
        SourceError: It could not be listed.
    """
    info = readable_stream(order.source, info_name(order.source))
    if info.arn != stream.arn:
        raise StreamReplaced(source=stream.source, was=stream.arn, now=info.arn)
    since = one_row(conn.execute("SELECT clock_timestamp()"))[0]
    for page in order.source.shards(stream.arn):
        with conn.transaction():
            streams.keep_listed(conn, stream.source, page)
    streams.listed_whole(conn, stream.source, since)
    streams.prune(conn, stream.source, since)
    return streams.not_seen(conn, stream.source, since)
