"""What can be done with a page before any state is locked, while another page is written."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from ashore.mapping.plan import Plan
from ashore.model.change import Change
from ashore.sync.lines import LineMaker, Lines
from ashore.sync.routing import Keyed, KeyRouter


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The changes of a page, the newest of each key, and a guess at what will be written of it.

    What is written is decided under the lock of the states alone; where that is something else, `lines` go unused.
    """

    changes: Sequence[Change] = field(repr=False)
    newest: Sequence[Keyed] = field(repr=False)
    lines: Lines | None = None


class Preparer:
    """Prepares pages; may be called from several threads, of which one works at a time.

    `applying` are the entities that were being applied when states were last looked at; whoever looks sets it.
    """

    def __init__(self, plan: Plan, maker: LineMaker) -> None:
        self.applying: frozenset[str] = frozenset()
        self._router = KeyRouter(plan)
        self._maker = maker
        self._lock = threading.Lock()

    def prepare(self, changes: Sequence[Change]) -> Prepared:
        """Read the keys of a page's changes, and make the lines that are probably wanted.

        Raises:
            KeyNotAsDeclared: The table's key is not the declared one.
        """
        with self._lock:
            newest = self._router.newest(changes)
            applying = self.applying
            puts = [one for one in newest if one.change.item is not None and one.entity in applying]
            return Prepared(changes=changes, newest=newest, lines=self._maker.make(puts) if puts else None)
