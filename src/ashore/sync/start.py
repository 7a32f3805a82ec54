"""Beginning to read a table's stream: every open shard is in the ledger before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ashore.ledger import gaps, loads, records, streams, written
from ashore.ledger.loads import UNMATCHED
from ashore.ledger.streams import StreamRecord
from ashore.mapping.plan import Plan
from ashore.model.change import ChangeSource, StreamInfo
from ashore.postgres.connect import Conn
from ashore.sync.errors import NoStream, OtherTable, StreamReplaced, SyncStopped


def readable_stream(source: ChangeSource, table: str) -> StreamInfo:
    """The table's stream, if it can be synced from.

    Raises:
        NoStream: It has none, or one that is switched off or lacks the items.
    """
    found = source.describe()
    if found is None or not found.is_enabled:
        raise NoStream(table=table, found="has no stream that is switched on")
    if not found.has_images:
        raise NoStream(table=table, found=f"has a stream of {found.view}: its records lack the items")
    return found


def ensure_stream(
    conn: Conn, plan: Plan, source: ChangeSource, tables: Mapping[str, Sequence[str]]
) -> tuple[StreamRecord, bool]:
    """The stream that is read for this source; it is begun if there is none. Idempotent.

    Returns:
        The stream, and whether it was begun just now.

    Raises:
        NoStream, StreamReplaced, OtherTable, SyncStopped: Nothing was changed.
    """
    info = readable_stream(source, info_name(source))
    known = streams.stream_of(conn, plan.name)
    if known is not None and known.state != "stopped":
        assert_same_table(known, source)
        if known.arn != info.arn:
            raise StreamReplaced(source=plan.name, was=known.arn, now=info.arn)
        return known, False
    shards = [shard for page in source.shards(info.arn) for shard in page]
    with conn.transaction():
        streams.begin(conn, source=plan.name, arn=info.arn, origin=source.origin, shards=shards)
        gaps.forget_gaps(conn, plan.name)
        written.mark_written(conn, plan.name, seconds=0.0)
        loads.declare_entities(conn, plan.name, {**tables, UNMATCHED: ()})
        records.audit(conn, "sync begin", {"source": plan.name, "arn": info.arn, "shards": len(shards)})
        begun = streams.stream_of(conn, plan.name)
    if begun is None:
        raise SyncStopped(source=plan.name)
    return begun, True


def assert_same_table(known: StreamRecord, source: ChangeSource) -> None:
    """Do nothing while the stream is of the table that the settings name.

    Raises:
        OtherTable: It is not.
    """
    if known.origin != source.origin:
        raise OtherTable(source=known.source)


def info_name(source: ChangeSource) -> str:
    """What to call the table of a source in a message."""
    return f"table {source.origin.get('table_arn', '')}"
