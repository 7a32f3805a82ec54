"""Automata of regular expressions: whether two of them have a text in common."""

from __future__ import annotations

import re
from collections import deque
from functools import lru_cache
from typing import Final

Characters = frozenset[str] | None
"""The characters that a step takes; None for any."""

_count: Final = re.compile(r"\{([0-9]+)(?:,([0-9]+))?\}").match
_group: Final = re.compile(r"\((?:\?:)?").match


class Automaton:
    """Reads an expression of characters, escapes, classes, ``.``, groups, ``|``, and what counts an atom, lazy or not.

    States are numbers, 0 the first. `steps` and `free` are by state: where a character leads, and where none does.
    Source: https://dl.acm.org/doi/10.1145/363347.363387 (Thompson's construction)
    """

    def __init__(self, expression: str) -> None:
        self.steps: list[list[tuple[Characters, int]]] = [[]]
        self.free: list[list[int]] = [[]]
        self._text = expression
        self._at = 0
        self.last = self._either(0)

    def _state(self, *sources: int) -> int:
        self.steps.append([])
        self.free.append([])
        for source in sources:
            self.free[source].append(len(self.free) - 1)
        return len(self.free) - 1

    def _either(self, start: int) -> int:
        ends = [self._sequence(self._state(start))]
        while self._text.startswith("|", self._at):
            self._at += 1
            ends.append(self._sequence(self._state(start)))
        return self._state(*ends)

    def _sequence(self, state: int) -> int:
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            state = self._repeated(state)
        return state

    def _repeated(self, state: int) -> int:
        begin = self._at
        start = self._state(state)
        ends = [self._atom(start)]
        least, most = self._times()
        after = self._at
        for _ in range(1, most or max(least, 1)):
            self._at = begin
            ends.append(self._atom(self._state(ends[-1])))
        if most is None:
            self.free[ends[-1]].append(start)
        self._at = after
        return self._state(*([start] if least == 0 else []), *ends[max(least, 1) - 1 :])

    def _times(self) -> tuple[int, int | None]:
        """Read how often the atom may stand, at least and at most (None: any number)."""
        times: tuple[int, int | None] = (1, 1)
        counted = _count(self._text, self._at)
        if counted is not None:
            least, most = counted.groups()
            times = (int(least), int(most or least))
            self._at = counted.end()
        elif self._text[self._at : self._at + 1] in {"?", "*", "+"}:
            times = {"?": (0, 1), "*": (0, None), "+": (1, None)}[self._text[self._at]]
            self._at += 1
        else:
            return times
        self._at += self._text.startswith("?", self._at)
        return times

    def _atom(self, state: int) -> int:
        group = _group(self._text, self._at)
        if group is not None:
            self._at = group.end()
            end = self._either(state)
            self._at += 1
            return end
        end = self._state()
        self.steps[state].append((self._characters(), end))
        return end

    def _characters(self) -> Characters:
        first = self._text[self._at]
        self._at += 1
        match first:
            case ".":
                return None
            case "[":
                inside = self._text[self._at : self._text.index("]", self._at)]
                self._at += len(inside) + 1
                return _class(inside)
            case "\\":
                self._at += 1
                return frozenset(self._text[self._at - 1])
            case _:
                return frozenset(first)


def _class(inside: str) -> frozenset[str]:
    characters = set(inside) - {"-"} | ({"-"} if inside.endswith("-") else set())
    for first, last in re.findall("(.)-(.)", inside):
        characters |= set(map(chr, range(ord(first), ord(last) + 1)))
    return frozenset(characters)


_automaton: Final = lru_cache(maxsize=4096)(Automaton)


def common_text(one: str, other: str) -> str | None:
    """A shortest text that both expressions could match; None where there is none.

    Breadth first over pairs of states in the two automata.
    """
    first, second = _automaton(one), _automaton(other)
    found: dict[tuple[int, int], str] = {}
    queue = deque(_reached(first, second, (0, 0), "", found))
    while queue:
        i, j = queue.popleft()
        text = found[i, j]
        if i == first.last and j == second.last:
            return text
        for a, after in first.steps[i]:
            for b, behind in second.steps[j]:
                character = _shared(a, b)
                if character is not None:
                    queue += _reached(first, second, (after, behind), text + character, found)
    return None


def _shared(a: Characters, b: Characters) -> str | None:
    if a is None or b is None:
        return min(a or b or "x")
    return min(a & b, default=None)


def _reached(
    first: Automaton, second: Automaton, pair: tuple[int, int], text: str, found: dict[tuple[int, int], str]
) -> list[tuple[int, int]]:
    """The pairs of states not found before that `text` leads to: the one given, and those that follow without more."""
    reached = []
    pairs = [pair]
    while pairs:
        i, j = pairs.pop()
        if (i, j) in found:
            continue
        found[i, j] = text
        reached.append((i, j))
        pairs += [(free, j) for free in first.free[i]]
        pairs += [(i, free) for free in second.free[j]]
    return reached
