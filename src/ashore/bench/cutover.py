"""`ashore bench cutover`: what writers see of a cutover and of the way back, and what comes after it.

Writers in this process ask `ashore.app`; a worker in another reads the stream and writes back. The moves are those of
`ashore cutover writes` and `ashore rollback`, without their gates, which hold nobody.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ashore.bench.court_crossing import MOST_PAUSE_SECONDS, CourtCrossing, court_crossing, some_dynamodb
from ashore.bench.machine import machine, versions
from ashore.bench.overhead import AppOverhead, measure_overhead
from ashore.bench.reverse import ReverseRates, measure_lags, measure_rates, wait_until_written_back
from ashore.bench.server import bench_postgres, settings
from ashore.cutover.run import Order, cut_over, roll_back
from ashore.ledger import crossing
from ashore.local.demo_proof import Proof, prove
from ashore.local.dynamodb import moto_server
from ashore.local.traffic import WRITE_SECONDS, Written
from ashore.pipeline.sync import caught_up

_BETWEEN_SECONDS: Final = 2.0
"""How long writers write between two moves."""
_SEED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoverFigures:
    """What was measured; milliseconds, where a name ends so.

    A pause is the longest that a write of one writer took of those that were under way during a move, the write itself
    included; there is one for each writer and move. `held_ms` is how long each move held writes by its own account,
    cutovers and ways back in turn, and `usual_write_ms` what a write takes otherwise, in the median.

    `reverse_changes_per_s` are rows that one transaction changed, until the last of them is in DynamoDB;
    `reverse_limit_per_s` bare puts of the same items by as many threads, in turns with it. A `reverse_lag` is from the
    commit of a row, while the writers write, until DynamoDB gives its item.

    `pauses_on` and `reverse_on` say what stood in for DynamoDB: moto for the pauses, since its records bear times as
    exact as markers need, and DynamoDB Local, where it is on this machine, for reverse sync: it takes more writes.

    `lost_writes` are those that one of both stores does not have in the end, and `differences` the items that boto3
    reads otherwise than the rows rebuild them. Both have to be 0.
    """

    pauses_on: str
    reverse_on: str
    writers: int
    writes_per_s: float
    rounds: int
    validity_ms: int
    write_ms: int
    passed: tuple[str, ...]
    pause_p50_ms: float
    pause_p99_ms: float
    pause_max_ms: float
    cutover_pause_max_ms: float
    rollback_pause_max_ms: float
    held_ms: tuple[float, ...]
    usual_write_ms: float
    reverse_changes_per_s: int
    reverse_limit_per_s: int
    reverse_ratio: float
    reverse_rounds: Mapping[str, Sequence[int]]
    reverse_lag_p50_ms: float
    reverse_lag_p99_ms: float
    reverse_lags: int
    overhead_us: float
    overhead: AppOverhead
    writes: int
    lost_writes: int
    differences: int
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    machine: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Traffic:
    """How much is written, and of what size the court is."""

    writers: int
    a_second: float
    validity_seconds: float
    cases: int


@dataclass(frozen=True, slots=True)
class _Moves:
    """What the writers saw of each move, and how long it held them by its own account."""

    pauses: list[list[float]]
    held: list[float]
    passed: list[str]
    per_second: float
    proof: Proof


@dataclass(frozen=True, slots=True)
class _Reverse:
    """Lags under traffic, and rates without."""

    lags: list[float]
    rates: ReverseRates
    proof: Proof


def measure_cutover(  # noqa: PLR0913 (the options of the command)
    *,
    writers: int,
    a_second: float,
    rounds: int,
    validity_seconds: float,
    lag_seconds: float,
    cases: int,
    tell: Callable[[str], None],
) -> CutoverFigures:
    """Cut over and roll back so many times under traffic, and measure reverse sync in between and after.

    Args:
        writers: How many threads write, `a_second` writes all together.
        a_second: See `writers`.
        rounds: How often to cut over and back; a last cutover follows.
        validity_seconds: How long the application may act on what it is told; more than a write may take.
        lag_seconds: For how long lags of reverse sync are measured.
        cases: How large the court is; about four docket entries a case.
        tell: Is told what is being done.
    """
    before = machine()
    traffic = _Traffic(writers, a_second, validity_seconds, cases)
    with bench_postgres() as server, moto_server() as aws:
        tell("the cost of ashore.app for a call")
        overhead = measure_overhead(server.create_database("overhead"))
        tell(f"a court of {cases:,} cases in {aws.name}, loaded and synced")
        with court_crossing(server, aws, cases=cases, validity_seconds=validity_seconds, seed=_SEED) as court:
            moves = _moves(court, traffic, rounds=rounds, tell=tell)
        found: dict[str, Any] = {"pauses_on": aws.name, "versions": versions(server)}
    with bench_postgres() as server, some_dynamodb() as aws:
        tell(f"a court of {cases:,} cases in {aws.name}, loaded and synced")
        with court_crossing(server, aws, cases=cases, validity_seconds=validity_seconds, seed=_SEED) as court:
            reverse = _reverse(court, traffic, lag_seconds=lag_seconds, tell=tell)
        found |= {"reverse_on": aws.name, "writers": writers, "rounds": rounds, "machine": before}
    return _figures(found | {"validity_ms": round(validity_seconds * 1000)}, moves, reverse, overhead)


def _moves(court: CourtCrossing, traffic: _Traffic, *, rounds: int, tell: Callable[[str], None]) -> _Moves:
    conn, one, order = court.conn, court.cutover.one, Order(max_pause_seconds=MOST_PAUSE_SECONDS)
    pauses, held, passed = [], [], []
    with court.writing(writers=traffic.writers, a_second=traffic.a_second, seed=_SEED) as writers:
        tell("waiting until nobody can act on an earlier, longer validity")
        _wait_for_fence(court, traffic.validity_seconds)
        first, sent_before = time.monotonic(), writers.sent
        for turn in range(rounds):
            for what, move in (("over", cut_over), ("back", roll_back)):
                time.sleep(_BETWEEN_SECONDS)
                tell(f"round {turn + 1} of {rounds}: {what}")
                began = time.monotonic()
                done = move(conn, one, order)
                pauses.append(writers.pauses_since(began))
                held.append(done.pause_seconds)
                passed.append(done.passed)
        per_second = (writers.sent - sent_before) / (time.monotonic() - first)
        written = writers.stop()
    return _Moves(pauses, held, passed, per_second, _proof(court, written))


def _reverse(court: CourtCrossing, traffic: _Traffic, *, lag_seconds: float, tell: Callable[[str], None]) -> _Reverse:
    with court.writing(writers=traffic.writers, a_second=traffic.a_second, seed=_SEED) as writers:
        tell("the cutover, and the lag of reverse sync under traffic")
        cut_over(court.conn, court.cutover.one, Order(max_pause_seconds=MOST_PAUSE_SECONDS))
        time.sleep(_BETWEEN_SECONDS)
        lags = measure_lags(court.conn, court.aws, court.items, seconds=lag_seconds)
        written = writers.stop()
    proof = _proof(court, written)
    tell("the rate of reverse sync, and of bare puts")
    return _Reverse(lags, measure_rates(court.conn, court.project, court.aws, court.items), proof)


def _proof(court: CourtCrossing, written: Written) -> Proof:
    """Both stores against what was written, once everything has arrived."""
    moment = time.time()
    is_caught_up = caught_up(court.project.plan.name, moment)
    wait_until_written_back(court.conn, court.project.plan.name)
    while not is_caught_up(court.conn):
        time.sleep(0.1)
    return prove(court.conn, court.aws.client("dynamodb"), court.project.plan, written)


def _wait_for_fence(court: CourtCrossing, seconds: float) -> None:
    while crossing.fence_seconds(court.conn, court.project.plan.name) > seconds:
        time.sleep(0.2)


def _figures(known: dict[str, Any], moves: _Moves, reverse: _Reverse, overhead: AppOverhead) -> CutoverFigures:
    pauses = sorted(pause for of_move in moves.pauses for pause in of_move)
    lags, rates = sorted(reverse.lags), reverse.rates
    proofs = (moves.proof, reverse.proof)
    return CutoverFigures(
        **known,
        writes_per_s=round(moves.per_second, 1),
        write_ms=round(WRITE_SECONDS * 1000),
        passed=tuple(sorted(set(moves.passed))),
        pause_p50_ms=_milliseconds(quantile(pauses, 0.5)),
        pause_p99_ms=_milliseconds(quantile(pauses, 0.99)),
        pause_max_ms=_milliseconds(pauses[-1]),
        cutover_pause_max_ms=_milliseconds(max(map(max, moves.pauses[::2]))),
        rollback_pause_max_ms=_milliseconds(max(map(max, moves.pauses[1::2]))),
        held_ms=tuple(map(_milliseconds, moves.held)),
        usual_write_ms=_milliseconds(moves.proof.written.median_seconds),
        reverse_changes_per_s=round(statistics.median(rates.reverse)),
        reverse_limit_per_s=round(statistics.median(rates.bare)),
        reverse_ratio=round(statistics.median(rates.reverse) / statistics.median(rates.bare), 3),
        reverse_rounds={"bare": rates.bare, "reverse": rates.reverse},
        reverse_lag_p50_ms=_milliseconds(quantile(lags, 0.5)),
        reverse_lag_p99_ms=_milliseconds(quantile(lags, 0.99)),
        reverse_lags=len(lags),
        overhead_us=overhead.overhead_us,
        overhead=overhead,
        writes=sum(one.written.sent for one in proofs),
        lost_writes=sum(one.written.sent - min(one.in_postgres.writes, one.in_dynamodb.writes) for one in proofs),
        differences=sum(one.differences for one in proofs),
        settings=dict(settings),
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of sorted values that so large a share of them is at most."""
    return values[max(0, math.ceil(share * len(values)) - 1)]


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1_000, 1)
