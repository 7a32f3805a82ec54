"""The report of a probe as text that may be read, and pasted, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ashore.pipeline.probe import ProbeReport, percentile

_NAMED: Final = 50


def report_text(report: ProbeReport) -> str:
    """The whole report; the same facts as `ProbeReport.as_json`."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: ProbeReport) -> Iterator[str]:
    measured = report.measured
    yield f"# Probe of table {report.table}, {report.region}"
    yield ""
    yield f"{report.started_at:%Y-%m-%d %H:%M:%S} to {report.ended_at:%H:%M:%S} UTC, by Ashore {report.version}"
    yield ""
    yield "| behaviour | seen |"
    yield "|---|---|"
    yield f"| shards | {measured.listed:,} listed, {measured.open:,} open; {_changes(report)} |"
    yield f"| markers reach every open shard | {_coverage(report)} |"
    yield f"| a shard returns markers in the order in which they were written | {_order(report)} |"
    yield f"| delay from write to return | {_delay(report)} |"
    yield f"| limits met | {_limits(report)} |"
    yield ""
    if measured.not_reached:
        yield f"Shards that returned no marker ({len(measured.not_reached):,}):"
        yield ""
        yield from (f"- `{name}`" for name in measured.not_reached[:_NAMED])
        if len(measured.not_reached) > _NAMED:
            yield f"- and {len(measured.not_reached) - _NAMED:,} more"
        yield ""
    for finding in report.findings:
        yield f"**{finding}**"
        yield ""
    yield "Seen at that time. AWS does not promise that a shard is one partition, in the order of its commits."


def _changes(report: ProbeReport) -> str:
    measured = report.measured
    if not (measured.came or measured.ended):
        return "none came or ended meanwhile"
    return f"{measured.came:,} came and {measured.ended:,} ended meanwhile"


def _coverage(report: ProbeReport) -> str:
    measured = report.measured
    read = measured.open + measured.came
    counted = f"{report.reached:,} of {read:,} ({report.reached / read:.1%})" if read else "there was none"
    if measured.needed is None:
        return f"no: {counted}, by {measured.written:,} markers"
    expected = f"{report.forecast.expected:,} are expected for equal shards"
    return f"yes: {counted}; the first {measured.needed:,} of {measured.written:,} markers did ({expected})"


def _order(report: ProbeReport) -> str:
    measured = report.measured
    twice = f"; {measured.returned_twice:,} came twice" if measured.returned_twice else ""
    if measured.out_of_order:
        return f"**no**: {measured.out_of_order:,} of {measured.returned:,} came after a later one{twice}"
    return f"yes: {measured.returned:,} of {measured.written:,} came back, all in order{twice}"


def _delay(report: ProbeReport) -> str:
    delays = report.measured.delays
    if not delays:
        return "none came back"
    shown = ", ".join(
        f"{name} {percentile(delays, share)} s" for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    )
    return f"{shown}, with a read of each shard every {report.poll_seconds} s"


def _limits(report: ProbeReport) -> str:
    throttled = report.measured.throttled
    met = ", ".join(f"{name} throttled {times:,} times" for name, times in sorted(throttled.items()))
    return f"{met or 'none'}; {report.measured.reads:,} calls of GetRecords in {report.measured.seconds:.0f} s"
