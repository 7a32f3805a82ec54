"""What a benchmark of the load prints."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ashore.bench.loader import Loaded, Verified
from ashore.bench.transcoding import Transcoding


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The measurements of one benchmark, in the order in which they were made; `limits` and `plains` in seconds."""

    loads: Sequence[Loaded]
    limits: Sequence[float]
    plains: Sequence[float]
    verified: Verified
    prepared_rows: int
    gunzip_us: float | None
    python_seconds: float | None
    transcode: Transcoding


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFigures:
    """The figures of `ashore bench load` and `ashore bench scan`.

    Attributes:
        source: "export" or "scan".
        items_per_s, mb_per_s: Items and decompressed bytes (10^6) a second, from the first open of the source to the
            last commit of rows.
        limit_rows_per_s: Prepared rows a second, by as many processes that read the same source and throw it away.
        ratio: The limit's time over the load's, for the same rows: 1 would be a load that costs nothing of its own.
        limit_spread: The slowest of the limit's runs over its fastest. Much more than 1 says that the machine was
            not quiet, and that the ratio is not to be relied on.
        ratio_plain_copy: The same against COPY of the prepared rows alone, without reading the source.
        format: "binary" where the native path took items, else "text". The limit's COPY has the same.
        transcode_items_per_s: Items that one core encodes a second, by the native path alone; None without it.
        encode_items_per_s: The same by all that encodes a chunk, the items included that the native path refused.
        python_path_ratio: The ratio of a load without the native path, against the same limit; None without it.
        refused_share: Share of the items that the native path left to Python; `refused` has them by kind.
        gunzip_us: Microseconds an item for decompressing it, on one core; None for a Scan.
        key_build_s: Everything after the rows: keys, indexes, foreign keys, ANALYZE, counting.
        peak_rss_mb: Of the loading process and its workers together, each at its peak; not of the server.
        load_s: The whole load, from connecting to its report.
        verify_items_per_s: Items over all the time that a verification takes.
    """

    profile: str
    source: str
    items: int
    item_bytes: int
    rows: int
    rejected: int
    workers: int
    rounds: int
    format: str
    items_per_s: int
    mb_per_s: float
    limit_rows_per_s: int
    plain_copy_rows_per_s: int
    ratio: float
    limit_spread: float
    ratio_plain_copy: float
    transcode_items_per_s: int | None
    encode_items_per_s: int
    python_path_ratio: float | None
    refused_share: float | None
    refused: Mapping[str, int]
    gunzip_us: float | None
    key_build_s: float
    load_s: float
    peak_rss_mb: float
    verify_items_per_s: int
    verify_differences: int
    seconds: Mapping[str, Sequence[float]]
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    machine: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def figures(runs: Runs, **about: Any) -> LoadFigures:
    """Medians of the runs; `about` is what the runs do not say."""
    loads, verified = runs.loads, runs.verified
    load_seconds = statistics.median(one.row_seconds for one in loads)
    limit_seconds, plain_seconds = statistics.median(runs.limits), statistics.median(runs.plains)
    items, read, refused = loads[0].items, loads[0].bytes, loads[0].refused
    return LoadFigures(
        items=items,
        item_bytes=round(read / items),
        rows=loads[0].rows,
        rejected=loads[0].rejected,
        rounds=len(loads),
        format="binary" if loads[0].native_items else "text",
        items_per_s=round(items / load_seconds),
        mb_per_s=round(read / load_seconds / 1e6, 1),
        limit_rows_per_s=round(runs.prepared_rows / limit_seconds),
        plain_copy_rows_per_s=round(runs.prepared_rows / plain_seconds),
        ratio=round(limit_seconds / load_seconds, 3),
        limit_spread=round(max(runs.limits) / min(runs.limits), 2),
        ratio_plain_copy=round(plain_seconds / load_seconds, 3),
        transcode_items_per_s=runs.transcode.native_items_per_s,
        encode_items_per_s=runs.transcode.encoded_items_per_s,
        python_path_ratio=None if runs.python_seconds is None else round(limit_seconds / runs.python_seconds, 3),
        refused_share=round(sum(refused.values()) / items, 5) if loads[0].native_items else None,
        refused=dict(refused),
        gunzip_us=None if runs.gunzip_us is None else round(runs.gunzip_us, 2),
        key_build_s=round(statistics.median(one.key_build_seconds for one in loads), 2),
        load_s=round(statistics.median(one.seconds for one in loads), 2),
        peak_rss_mb=round(max(one.peak_rss_mb for one in loads), 1),
        verify_items_per_s=round(verified.items / verified.seconds),
        verify_differences=verified.differences,
        seconds={
            "load": [round(one.row_seconds, 3) for one in loads],
            "limit": [round(seconds, 3) for seconds in runs.limits],
            "plain_copy": [round(seconds, 3) for seconds in runs.plains],
            "verify": [round(verified.seconds, 3)],
        },
        **about,
    )
