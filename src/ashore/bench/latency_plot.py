"""Latencies as SVG: for each call a line from the median to the 99th percentile, one store above the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from markupsafe import escape

from ashore.bench.load_test import AppFigures, Latency

_WIDTH: Final = 820
_LEFT: Final = 150
_RIGHT: Final = 110
_TOP: Final = 76
_ROW: Final = 22
_GAP: Final = 18
_stores: Final = {"dynamodb": ("DynamoDB", "#b45309"), "postgres": ("PostgreSQL", "#1d4ed8")}
_STYLE: Final = "font-family:system-ui,sans-serif;font-size:12px"


def latency_plot(found: AppFigures) -> str:
    """The figures as an SVG document of its own; the scale is logarithmic."""
    times = [value for by in found.calls.values() for one in by.values() for value in (one.p50_ms, one.p99_ms)]
    low = math.floor(math.log10(min(times)))
    high = max(low + 1, math.ceil(math.log10(max(times))))
    bottom = _TOP + len(found.calls) * (2 * _ROW + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 56}" style="{_STYLE}">',
        f'<rect width="{_WIDTH}" height="{bottom + 56}" fill="#ffffff"/>',
        _text(16, 26, "What a call takes: median to 99 of 100", "font-size:16px;font-weight:600"),
        _text(16, 46, _subtitle(found), "fill:#57534e"),
        *_grid(low, high, bottom),
        *_rows(found.calls, low, high),
        _text(16, bottom + 44, _note(found), "fill:#57534e"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _subtitle(found: AppFigures) -> str:
    size = found.size
    return f"{size.messages:,} messages, {size.clients} clients, at the client; logarithmic"


def _note(found: AppFigures) -> str:
    if found.dynamodb == "aws":
        return "DynamoDB is AWS's own; what the network adds is in the figures of either store."
    return f"DynamoDB is {found.dynamodb}, which is not AWS: it says nothing of how quick DynamoDB is."


def _grid(low: int, high: int, bottom: int) -> Iterator[str]:
    for power in range(low, high + 1):
        x = _x(10.0**power, low, high)
        yield f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{bottom}" stroke="#e7e5e4"/>'
        yield _text(x, bottom + 18, f"{10.0**power:g} ms", "fill:#57534e;text-anchor:middle")


def _rows(calls: Mapping[str, Mapping[str, Latency]], low: int, high: int) -> Iterator[str]:
    y = float(_TOP)
    for kind, by_store in calls.items():
        yield _text(16, y + _ROW, kind.replace("_", " "), "font-weight:600")
        for store, (name, colour) in _stores.items():
            one = by_store[store]
            middle = y + _ROW / 2
            first, last = _x(one.p50_ms, low, high), _x(one.p99_ms, low, high)
            yield _text(_LEFT - 10, middle + 4, name, f"fill:{colour};text-anchor:end")
            yield (
                f'<line x1="{first:.1f}" y1="{middle}" x2="{last:.1f}" y2="{middle}" stroke="{colour}"'
                ' stroke-width="6" stroke-opacity="0.35"/>'
            )
            yield f'<circle cx="{first:.1f}" cy="{middle}" r="5" fill="{colour}"/>'
            yield f'<circle cx="{last:.1f}" cy="{middle}" r="3" fill="{colour}"/>'
            yield _text(last + 10, middle + 4, f"{one.p50_ms:.3g} to {one.p99_ms:.3g} ms", f"fill:{colour}")
            y += _ROW
        y += _GAP


def _x(milliseconds: float, low: int, high: int) -> float:
    share = (math.log10(milliseconds) - low) / (high - low)
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" style="{style}">{escape(text)}</text>'
