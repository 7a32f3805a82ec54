"""The alarms: DynamoDB keeps a stream for 24 hours, so 12 hours that nobody read are a warning and 18 are urgent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from ashore.observe.events import SyncLagging

Alarm = Literal["warning", "urgent"]

WARNING_HOURS: Final = 12
URGENT_HOURS: Final = 18


def alarm_of(unread_seconds: float | None) -> Alarm | None:
    """What to call it that the stream was not read for so long."""
    hours = 0.0 if unread_seconds is None else unread_seconds / 3600
    if hours >= URGENT_HOURS:
        return "urgent"
    return "warning" if hours >= WARNING_HOURS else None


@dataclass(slots=True)
class AlarmBell:
    """Says it once when an alarm begins, grows, or is over."""

    _rung: Alarm | None = None

    def hear(self, unread_seconds: float | None) -> SyncLagging | None:
        """What to tell of this reading; None where there is nothing new."""
        alarm = alarm_of(unread_seconds)
        if alarm == self._rung:
            return None
        self._rung = alarm
        return SyncLagging(alarm=alarm, hours=round((unread_seconds or 0.0) / 3600, 1))
