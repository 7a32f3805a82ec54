"""What AWS says of a table, as a report shows it; and what the items that were read show of hazards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ashore.assess.hazards import Observations
from ashore.assess.kinds import Group
from ashore.assess.survey import Survey
from ashore.dynamodb.facts import TableFacts


def pairs(facts: TableFacts) -> Iterator[tuple[str, str]]:
    """Labels and texts."""
    info = facts.info
    yield "Table", info.arn
    yield "Key", ", ".join(f"{key.name} ({key.type})" for key in info.key)
    for index in info.indexes:
        kind = "Global index" if index.is_global else "Local index"
        yield kind, f"{index.name}: {', '.join(key.name for key in index.key)}; projects {index.projection}"
    yield "Billing", facts.billing
    yield "Table class", facts.table_class
    yield "Stream", "off" if info.stream is None else info.stream.view
    if facts.lambda_readers is not None and info.stream is not None:
        yield "Functions on the stream", ", ".join(facts.lambda_readers) or "none"
    yield "Time to live", info.ttl_attribute or "off, or not allowed to ask"
    yield "Point-in-time recovery", _answer(info.point_in_time_recovery)
    yield "Deletion protection", _answer(facts.deletion_protection)
    yield "Encryption", facts.encryption
    yield "Other regions", ", ".join(facts.replicas) or "none"
    if facts.consumed is not None:
        used = facts.consumed
        yield (
            "Reads, last 14 days",
            f"{used.read_average:,.1f} units a second, {used.read_peak:,.1f} in the busiest hour",
        )
        yield (
            "Writes, last 14 days",
            f"{used.write_average:,.1f} units a second, {used.write_peak:,.1f} in the busiest hour",
        )
    if facts.not_allowed:
        yield "Not allowed to ask", ", ".join(facts.not_allowed)


def _answer(value: bool | None) -> str:  # noqa: FBT001 (it is the answer)
    return "not known" if value is None else "on" if value else "off"


def observations(found: Survey, *, ttl: str | None, now: float) -> Observations:
    """What the census shows. `now` is seconds since 1970.

    The biggest partition is looked for among the partition keys that the sketches keep, which are all of them in small
    tables and a sample of them in large ones.
    """
    partitions: Counter[str] = Counter()
    for group in found.groups:
        partitions += _partitions(group)
    biggest = max(partitions.values(), default=0)
    return Observations(
        items=found.items_read,
        largest_item=max((group.census.largest for group in found.groups), default=0),
        biggest_partition_share=biggest / max(found.items_read, 1),
        biggest_partition_items=biggest,
        expired_items=0 if ttl is None else sum(_expired(group, ttl, now) for group in found.groups),
        nul_items=sum(max((one.nul for one in group.census.attributes.values()), default=0) for group in found.groups),
    )


def _partitions(group: Group) -> Counter[str]:
    """Items by the text of the partition key, where at most one placeholder is in it."""
    parts = group.shape.partition
    places = [place for place, part in enumerate(parts) if part.form]
    before = "".join(part.text for part in parts[: places[0] if places else None])
    if not places:
        return Counter({before: group.census.items})
    if len(places) > 1:
        return Counter()
    after = "".join(part.text for part in parts[places[0] + 1 :])
    kept = group.census.placeholders["p0"].sketch.kept
    return Counter({f"{before}{value}{after}": times for value, times in kept.items()})


def _expired(group: Group, ttl: str, now: float) -> int:
    one = group.census.attributes.get(ttl)
    if one is None or one.numbers is None:
        return 0
    kept = one.sketch.kept
    past = sum(times for value, times in kept.items() if _number(value) < now)
    return round(past * one.kinds["N"] / max(kept.total(), 1))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")
