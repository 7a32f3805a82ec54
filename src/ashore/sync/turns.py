"""Turns of the threads that prepare pages and of the one that writes them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

TURN_SECONDS: Final = 0.000_2
"""Python lets a thread compute for 5 ms before another has its turn. A page takes a dozen answers of the server, each
of which the writing thread would wait for as long again while another page is prepared: PostgreSQL would stand still.

Source: https://docs.python.org/3/library/sys.html#sys.setswitchinterval
"""


@contextmanager
def quick_turns() -> Iterator[None]:
    """Have the threads of this process take turns quickly; how it was before is restored afterwards."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, TURN_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
