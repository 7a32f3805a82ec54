"""Windows of time: what exports have to cover so that a gap can be repaired from them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ashore.ledger.gaps import Gap

MARGIN: Final = timedelta(seconds=60)
"""How much earlier and later than a gap exports have to reach: by so much the clocks of DynamoDB, of PostgreSQL and of
the workers may differ."""
_SHORTEST: Final = timedelta(minutes=15)
_LONGEST: Final = timedelta(hours=24)
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport_Requesting.html"""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """From a moment, inclusive, to another, exclusive."""

    since: datetime
    until: datetime

    def __str__(self) -> str:
        return f"from {_text(self.since)} to {_text(self.until)}"

    def meets(self, other: Window) -> bool:
        """Whether they have a moment in common."""
        return self.since < other.until and other.since < self.until


def window_of(gap: Gap) -> Window | None:
    """What exports have to cover for this gap; None where nobody knows since when records are missing."""
    return None if gap.known_at is None else Window(gap.known_at - MARGIN, gap.found_at + MARGIN)


def missing(needed: Window, windows: Iterable[Window]) -> list[Window]:
    """The parts of a window that none of the others covers, in order."""
    left = []
    since = needed.since
    for window in sorted(windows):
        if window.since > since:
            left.append(Window(since, min(window.since, needed.until)))
        since = max(since, window.until)
        if since >= needed.until:
            break
    if since < needed.until:
        left.append(Window(since, needed.until))
    return [one for one in left if one.since < one.until]


def exportable(windows: Sequence[Window]) -> list[Window]:
    """Windows that DynamoDB exports, of whole minutes and of 15 minutes to 24 hours, that cover all these."""
    joined: list[Window] = []
    for window in sorted(Window(_floor(one.since), _ceil(one.until)) for one in windows):
        if joined and window.since <= joined[-1].until:
            joined[-1] = Window(joined[-1].since, max(joined[-1].until, window.until))
        else:
            joined.append(window)
    return [part for window in joined for part in _parts(window)]


def _parts(window: Window) -> list[Window]:
    parts = []
    until = window.until
    while until > window.since:
        since = max(window.since, until - _LONGEST)
        parts.append(Window(min(since, until - _SHORTEST), until))
        until = since
    return parts[::-1]


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _ceil(moment: datetime) -> datetime:
    floor = _floor(moment)
    return floor if floor == moment else floor + timedelta(minutes=1)


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
