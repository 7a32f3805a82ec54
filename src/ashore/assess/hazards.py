"""What makes a crossing risky: from what AWS says of the table, and from what was seen in its items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ashore.assess.proposal import Hazard
from ashore.dynamodb.facts import TableFacts

readers_a_shard: Final = 2
"""More readers of a stream's shard are throttled; for a global table AWS advises one reader.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html and
https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""
largest_item_allowed: Final = 400 * 1024
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""
large_item: Final = 300 * 1024
collection_limit_gb: Final = 10
"""All items of one partition key, with local indexes.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LSI.html
"""
hot_share: Final = 0.10
hot_items: Final = 1000
untried_write_peak: Final = 20_000.0
"""Write units a second from which a trial is asked for; this project's caution, not a limit that was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What was seen in the items that were read. Sizes are bytes as DynamoDB counts them.

    `biggest_partition_share` is of the items that were read, `biggest_partition_items` how many of them it has.
    `expired_items` had a time to live that was over; `nul_items` hold U+0000 in a text or a name.
    """

    items: int = 0
    largest_item: int = 0
    biggest_partition_share: float = 0.0
    biggest_partition_items: int = 0
    expired_items: int = 0
    nul_items: int = 0


def hazards(facts: TableFacts | None, seen: Observations) -> tuple[Hazard, ...]:
    """All hazards, the worst first. Without `facts` (an export) only those that items show."""
    found = [*_hazards_of_items(seen)]
    if facts is not None:
        found += [
            *_hazards_of_stream(facts),
            *_hazards_of_expiry(facts, seen),
            *_hazards_of_regions(facts),
            *_hazards_of_keeping(facts),
            *_hazards_of_use(facts),
        ]
    elif seen.expired_items:
        found.append(_expired(seen, "the table's time to live"))
    order = ("stop", "warning", "note")
    return tuple(sorted(found, key=lambda hazard: order.index(hazard.severity)))


def _hazards_of_items(seen: Observations) -> Iterator[Hazard]:
    if seen.largest_item > large_item:
        yield Hazard(
            severity="warning",
            what=f"the largest item has {seen.largest_item / 1024:,.0f} KB, near DynamoDB's limit of 400 KB",
            hint="reverse sync cannot write back what grows beyond it: split the growing list into a child table",
        )
    if seen.biggest_partition_share > hot_share and seen.biggest_partition_items > hot_items:
        yield Hazard(
            severity="warning",
            what=f"one partition key has {seen.biggest_partition_share:.0%} of the items read"
            f" ({seen.biggest_partition_items:,})",
            hint="a Scan and reverse sync are throttled there first: set --read-units, and read with few workers",
        )
    if seen.nul_items:
        yield Hazard(
            severity="warning",
            what=f"{seen.nul_items:,} items hold U+0000, which PostgreSQL's text cannot",
            hint='the proposal keeps such values in residue, their column is NULL; unfit="strip" takes U+0000 out',
        )


def _hazards_of_stream(facts: TableFacts) -> Iterator[Hazard]:
    stream = facts.info.stream
    if stream is None:
        yield Hazard(
            severity="stop",
            what="the stream is off: a load shows the table as it was, and changes during it are not seen",
            hint="turn it on with NEW_AND_OLD_IMAGES before a crossing; a one-off copy needs none",
        )
        return
    if stream.view != "NEW_AND_OLD_IMAGES":
        without_new = stream.view in ("KEYS_ONLY", "OLD_IMAGE")
        yield Hazard(
            severity="stop" if without_new else "warning",
            what=f"the stream carries {stream.view}: {'no new images' if without_new else 'no old images'}",
            hint="the view of a stream cannot be changed: turn it off, then on with NEW_AND_OLD_IMAGES;"
            " its readers have to move to the new stream",
        )
    yield from _hazards_of_readers(facts)


def _hazards_of_readers(facts: TableFacts) -> Iterator[Hazard]:
    if facts.lambda_readers is None:
        yield Hazard(
            severity="note",
            what="who else reads the stream is not known",
            hint="allow lambda:ListEventSourceMappings, or look: a shard bears two readers, Ashore is one of them",
        )
        return
    allowed = 1 if facts.replicas else readers_a_shard
    readers = len(facts.lambda_readers)
    if readers + 1 > allowed:
        names = ", ".join(arn.rpartition(":")[2] for arn in facts.lambda_readers)
        yield Hazard(
            severity="warning",
            what=f"{_counted(readers, 'function')} read the stream already ({names}); Ashore would be one more,"
            f" and a shard of this table bears {allowed}",
            hint="join two readers in one function, or feed them from a Kinesis stream; other readers"
            " (Kinesis adapter, EventBridge pipes) are not in this count",
        )


def _hazards_of_expiry(facts: TableFacts, seen: Observations) -> Iterator[Hazard]:
    if facts.info.ttl_attribute is not None:
        yield _expired(seen, f"the time to live ({facts.info.ttl_attribute!r})")
    elif "dynamodb:DescribeTimeToLive" in facts.not_allowed:
        yield Hazard(
            severity="note",
            what="whether items expire is not known",
            hint="allow dynamodb:DescribeTimeToLive",
        )


def _expired(seen: Observations, what: str) -> Hazard:
    """Items past their time stay until DynamoDB comes round to them, within days.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
    """
    return Hazard(
        severity="note",
        what=f"{what} removes items: {seen.expired_items:,} of {seen.items:,} read were past it and still there",
        hint="readers in PostgreSQL need a filter and a job that deletes: declare the attribute as ttl",
    )


def _hazards_of_regions(facts: TableFacts) -> Iterator[Hazard]:
    if facts.replicas:
        yield Hazard(
            severity="warning",
            what=f"the table is global: {_counted(len(facts.replicas), 'replica')} in {', '.join(facts.replicas)}",
            hint="find out which regions write: PostgreSQL has one writer, so all but one have to stop before cutover",
        )


def _hazards_of_keeping(facts: TableFacts) -> Iterator[Hazard]:
    if facts.info.point_in_time_recovery is False:
        yield Hazard(
            severity="warning",
            what="point-in-time recovery is off: no export, and no way to the table as it was",
            hint="turn it on before the crossing",
        )
    elif facts.info.point_in_time_recovery is None:
        yield Hazard(
            severity="note",
            what="whether point-in-time recovery is on is not known",
            hint="allow dynamodb:DescribeContinuousBackups",
        )
    if facts.deletion_protection is False:
        yield Hazard(
            severity="note",
            what="the table can be deleted by one call: deletion protection is off",
            hint="turn it on until the entity is retired: the table is the way back",
        )
    local = [index.name for index in facts.indexes if not index.is_global]
    if local:
        yield Hazard(
            severity="note",
            what=f"local indexes ({', '.join(local)}) hold all items of a partition key to {collection_limit_gb} GB",
            hint="reverse sync cannot write beyond it: look at the biggest partitions before rows grow past it",
        )


def _hazards_of_use(facts: TableFacts) -> Iterator[Hazard]:
    if facts.consumed is None:
        yield Hazard(
            severity="note",
            what="how much the table is read and written is not known",
            hint="allow cloudwatch:GetMetricData; cost and time rest on it",
        )
    elif facts.consumed.write_peak > untried_write_peak:
        yield Hazard(
            severity="warning",
            what=f"the busiest hour had {facts.consumed.write_peak:,.0f} write units a second,"
            f" more than Ashore is used with untried ({untried_write_peak:,.0f})",
            hint="try load and sync with such a rate before you plan a date",
        )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
