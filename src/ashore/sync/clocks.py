"""The worker's clock and PostgreSQL's: what has passed is said by both, so they must agree."""

from __future__ import annotations

from typing import Final

from ashore.postgres.connect import Conn, one_row
from ashore.sync.errors import ClocksDiffer
from ashore.sync.order import SyncOrder

_LEAST_MARGIN_SECONDS: Final = 1.0


def assert_one_clock(conn: Conn, order: SyncOrder) -> None:
    """Do nothing while the two clocks differ by less than the margin; the time that asking takes is nobody's error.

    Raises:
        ClocksDiffer: They differ by more.
    """
    before = order.clock()
    theirs = float(one_row(conn.execute("SELECT extract(epoch FROM clock_timestamp())::float8"))[0])
    after = order.clock()
    ahead = before - theirs if before > theirs else min(0.0, after - theirs)
    margin = max(order.limits.margin_seconds, _LEAST_MARGIN_SECONDS)
    if abs(ahead) > margin:
        raise ClocksDiffer(seconds=ahead, margin=margin)
