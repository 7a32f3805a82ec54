"""What is gathered while one batch is applied."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ashore.mapping.encoded import Rejected
from ashore.postgres.upsert import Link
from ashore.sync.routing import Keyed


@dataclass(frozen=True, slots=True, kw_only=True)
class Homes:
    """Which homes other than rows hold anything at all."""

    has_rejected: bool
    has_waiting: bool
    has_parked: bool
    has_repairs: bool


@dataclass(slots=True)
class Gathered:
    """Counts, links whose copies have to be settled, changes in conflict, items refused, what was waited for."""

    loads: Mapping[str, int]
    tries: Mapping[bytes, int]
    homes: Homes
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    links: defaultdict[str, set[Link]] = field(default_factory=lambda: defaultdict(set))
    conflicts: list[tuple[Keyed, str]] = field(default_factory=list)
    refused: list[Rejected] = field(default_factory=list)
    waited: set[str] = field(default_factory=set)

    def copy(self) -> Gathered:
        """The same, to be added to without changing this one."""
        return replace(
            self,
            counts=self.counts.copy(),
            links=defaultdict(set, {name: set(links) for name, links in self.links.items()}),
            conflicts=self.conflicts.copy(),
            refused=self.refused.copy(),
            waited=self.waited.copy(),
        )
