"""`ashore bench …`: figures of this machine, each with its limit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ashore.bench.assess import measure_assess
from ashore.bench.assess_gold import measure
from ashore.bench.connect import measure_connect
from ashore.bench.cutover import measure_cutover
from ashore.bench.figures import LoadFigures
from ashore.bench.latency_plot import latency_plot
from ashore.bench.load_test import Size, Where, measure_app
from ashore.bench.loads import LoadBench
from ashore.bench.profiles import ProfileName, profiles
from ashore.bench.query import QueryFigures, measure_queries
from ashore.bench.sync import measure_sync
from ashore.cli import options, output
from ashore.cli.bench_screen import show_app, show_cutover
from ashore.local.styles import styles

app = typer.Typer(
    rich_markup_mode="rich",
    add_completion=False,
    no_args_is_help=True,
    help="Measure this machine, each figure with its limit.",
)

Items = Annotated[int, typer.Option("--items", min=100, help="How many items to make and load.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="How many processes load, and how many the limit has.")]
Rounds = Annotated[int, typer.Option("--rounds", min=1, help="How often to measure; the figures are medians.")]
Folder = Annotated[
    Path | None, typer.Option("--folder", metavar="DIR", help="Where to put files: about 2.5 kB for each item.")
]
Profile = Annotated[
    ProfileName,
    typer.Option("--profile", help="flat: one entity, 24 attributes. court: five entities, with all that is awkward."),
]


@app.command(epilog="Example:  ashore bench load --items 300000 --workers 2 --json")
def load(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    items: Items = 100_000,
    workers: Workers = 2,
    profile: Profile = "flat",
    rounds: Rounds = 1,
    folder: Folder = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Load an export, and COPY prepared rows beside it.

    The limit: as many processes decompress the same files and COPY the same rows, prepared beforehand, with the same
    commits. `ratio` says how near to it the load comes.
    """
    bench = LoadBench(profile=profiles[profile], items=items, workers=workers, rounds=rounds, folder=folder)
    return _show_load(bench.load(_teller(as_json=as_json)), as_json=as_json)


@app.command(epilog="Example:  ashore bench scan --items 300000 --workers 2")
def scan(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    items: Items = 100_000,
    workers: Workers = 2,
    profile: Profile = "flat",
    rounds: Rounds = 1,
    folder: Folder = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Load from a Scan that is served as fast as a client can read it; otherwise as `ashore bench load`."""
    bench = LoadBench(profile=profiles[profile], items=items, workers=workers, rounds=rounds, folder=folder)
    return _show_load(bench.scan(_teller(as_json=as_json)), as_json=as_json)


@app.command(epilog="Example:  ashore bench query --rows 1000000")
def query(
    *,
    rows: Annotated[int, typer.Option("--rows", min=100, help="How many rows to load and to ask about.")] = 100_000,
    workers: Workers = 2,
    folder: Folder = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Load rows and time questions: count, unindexed search, a report, an inbox by index, an UPDATE of all rows."""
    found = measure_queries(rows, workers=workers, tell=_teller(as_json=as_json), folder=folder)
    if as_json:
        output.print_json(found.as_json())
    else:
        _show_queries(found)
    return 0


@app.command(epilog="Example:  ashore bench sync --changes 200000 --json")
def sync(
    *,
    changes: Annotated[int, typer.Option("--changes", min=10_000, help="How many changes to apply.")] = 200_000,
    rounds: Rounds = 3,
    lag_seconds: Annotated[
        float, typer.Option("--lag-seconds", min=0, help="For how long to write items to measure the lag; 0: not.")
    ] = 20.0,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Apply changes of a stream, and upsert the same rows bare, the fastest way, beside it.

    The stream's answers are prepared, so that no emulator is measured. `ratio` says how near to the limit it comes.
    The lag is measured through DynamoDB Local, where there is one, at 200 writes a second: from the return of a PutItem
    until another connection sees the row.
    """
    found = measure_sync(changes, tell=_teller(as_json=as_json), rounds=rounds, lag_seconds=lag_seconds)
    if as_json:
        output.print_json(found.as_json())
        return 0
    out = output.console()
    rows = [
        ("changes a second", found.changes_per_s),
        ("bare upserts a second", found.upsert_limit_per_s),
        ("ratio", found.ratio),
        ("captured a second", found.capture_per_s),
        ("rows merged a second", found.merge_rows_per_s),
        ("lag, median, ms", found.lag_p50_ms),
        ("lag, 99 of 100, ms", found.lag_p99_ms),
    ]
    out.print(output.table(f"{found.changes:,} changes of {found.rows_before:,} rows", ("", ""), rows, numbers=1))
    if found.lag.why is not None:
        out.print(f"lag was not measured: {found.lag.why}")
    return 0


@app.command(epilog="Example:  ashore bench connect --json")
def connect(
    *,
    round_trip_ms: Annotated[
        float, typer.Option("--round-trip-ms", min=1, help="How far away the database is.")
    ] = 65.0,
    rounds: Rounds = 5,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Connect over a distance and count the round trips: as programs often do it, and as it can be.

    Beside it: a query of a pool, a replica that is near, what a token costs, and what the login adds to a checkout of
    psycopg's own pool.
    """
    found = measure_connect(round_trip_ms=round_trip_ms, rounds=rounds, tell=_teller(as_json=as_json))
    if as_json:
        output.print_json(found.as_json())
        return 0
    rows = [
        ("as often written", found.origin_way_ms, found.origin_way_round_trips),
        ("cold, TLS asked for first", found.asked_for_tls_ms, found.asked_for_tls_round_trips),
        ("cold, TLS at once", found.cold_connect_ms, found.round_trips),
        ("from a pool", found.pooled_query_ms, found.pooled_query_round_trips),
        ("cold, at a replica near by", found.replica_cold_connect_ms, None),
        ("from a pool, at a replica near by", found.replica_query_ms, None),
    ]
    title = f"One query, a round trip of {found.round_trip_ms:g} ms away"
    output.console().print(output.table(title, ("", "ms", "round trips"), rows, numbers=2))
    output.say(f"a token: {found.token_us} µs (kept: {found.kept_token_us}, boto3: {found.boto3_token_us})")
    output.say(f"checkout, query, return: {found.overhead_ratio} of psycopg's own pool")
    _show_where(found.versions, found.machine)
    return 0


@app.command(epilog="Example:  ashore bench cutover --json")
def cutover(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    writers: Annotated[int, typer.Option("--writers", min=1, help="How many threads write.")] = 20,
    a_second: Annotated[
        float, typer.Option("--writes", min=1, metavar="N", help="How many writes they send a second, all together.")
    ] = 100.0,
    rounds: Rounds = 5,
    validity: Annotated[
        float,
        typer.Option(
            "--validity", metavar="SECONDS", min=1.5, help="How long the application may act on what it was told."
        ),
    ] = 2.0,
    lag_seconds: Annotated[
        float, typer.Option("--lag-seconds", min=0, help="For how long to measure lags of reverse sync.")
    ] = 20.0,
    cases: Annotated[int, typer.Option("--cases", min=100, help="How large the court is.")] = 500,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Cut over and roll back under traffic: the pause that writers see, reverse sync, and what `ashore.app` costs.

    The pauses are measured with moto, reverse sync with DynamoDB Local where it is on this machine. In the end every
    write has to be in both stores, and these have to be equal: the command ends with 1 where they are not.
    """
    found = measure_cutover(
        writers=writers,
        a_second=a_second,
        rounds=rounds,
        validity_seconds=validity,
        lag_seconds=lag_seconds,
        cases=cases,
        tell=_teller(as_json=as_json),
    )
    if as_json:
        output.print_json(found.as_json())
    else:
        show_cutover(found)
    return 1 if found.lost_writes or found.differences else 0


@app.command(name="app", epilog="Example:  ashore bench app --plot app.svg")
def application(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="URL", help="Of a DynamoDB that runs already.")
    ] = None,
    is_aws: Annotated[
        bool,
        typer.Option("--aws", help="DynamoDB of AWS itself, with the credentials that boto3 finds. It costs cents."),
    ] = False,
    postgres: Annotated[
        str | None, typer.Option("--postgres", metavar="DSN", help="Of a PostgreSQL that runs already.")
    ] = None,
    messages: Annotated[int, typer.Option("--messages", min=200, help="How many messages to begin with.")] = 5_000,
    calls: Annotated[int, typer.Option("--calls", min=10, help="How many calls of each kind in a round.")] = 400,
    clients: Annotated[int, typer.Option("--clients", min=1, help="How many clients call at a time.")] = 4,
    rounds: Rounds = 3,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Also draw the figures as SVG.")] = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Make the calls of an application on DynamoDB and on PostgreSQL: inbox, thread, message by id, insert, mark read.

    Both do the same, and their answers are compared: the command ends with 1 where one differs. It makes a table and a
    schema of its own, and removes them. Without options both are servers of this machine, and what stands for DynamoDB
    is an emulator: then the figures say nothing of how quick DynamoDB is.
    """
    if is_aws and endpoint is not None:
        message = "it is either --aws or --endpoint"
        raise typer.BadParameter(message)
    where = Where(endpoint_url=endpoint, is_aws=is_aws, postgres=postgres)
    size = Size(messages=messages, calls=calls, rounds=rounds, clients=clients)
    found = measure_app(where, size, tell=_teller(as_json=as_json))
    if plot is not None:
        plot.write_text(latency_plot(found), encoding="utf-8")
    if as_json:
        output.print_json(found.as_json())
    else:
        show_app(found)
    return 1 if found.answers_different else 0


@app.command(epilog="Example:  ashore bench assess --gold")
def assess(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    gold: Annotated[bool, typer.Option("--gold", help="Measure quality on labelled tables instead of speed.")] = False,
    style: Annotated[
        list[str] | None, typer.Option("--style", metavar="NAME", help="Which labelled table.", show_default="all")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="From which labelled tables are made.")] = 1,
    items: Items = 100_000,
    workers: Workers = 2,
    folder: Folder = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Assess an export of flat items, all of it, beside a load of it; or, with `--gold`, tables with labels.

    Labelled tables are assessed as they are, with other names for attributes, and without the attribute that tells
    kinds apart. The command ends with 1 where one is not grouped, typed or related as its labels say.
    """
    if gold:
        return _show_gold(style or (), seed, as_json=as_json)
    found = measure_assess(items, workers=workers, folder=folder, tell=_teller(as_json=as_json))
    if as_json:
        output.print_json(found.as_json())
        return 0
    table = _table(f"{found.items:,} items, {found.workers} workers", "figure", "value", "")
    table.add_row("assessment", f"{found.items_per_s:,} items/s", f"{found.entities} entity, {found.seconds} s in all")
    table.add_row("load", f"{found.load_items_per_s:,} items/s", "rows, first open to last commit")
    table.add_row("ratio", f"{found.ratio:.2f}", "")
    table.add_row("memory", f"{found.peak_rss_mb:,} MB", "of the assessment and its workers, each at its peak")
    output.console().print(table)
    _show_where(found.versions, found.machine)
    return 0


def _show_gold(names: Sequence[str], seed: int, *, as_json: bool) -> int:
    unknown = sorted(set(names) - styles.keys())
    if unknown:
        message = f"there is no style {unknown[0]!r}; there are {', '.join(styles)}"
        raise typer.BadParameter(message)
    scores = list(measure(names or list(styles), size=400, seed=seed))
    if as_json:
        output.print_json({"seed": seed, "scores": [one.as_json() for one in scores]})
    else:
        table = Table(title=f"Labelled tables, seed {seed}", title_justify="left", title_style="bold", box=None)
        for name in ("table", "variant", "items", "grouping F1", "typed", "extra", "not as labelled"):
            table.add_column(name)
        for one in scores:
            wrong = ", ".join([*one.texts, *one.types, *one.parents, *one.disagrees]) or "–"
            figures = (f"{one.items:,}", f"{one.grouping:.3f}", f"{one.typed:.3f}", f"{one.outside:.3f}")
            table.add_row(one.style, one.variant, *figures, wrong)
        output.console().print(table)
    return 0 if all(one.passes for one in scores) else 1


def _teller(*, as_json: bool) -> Callable[[str], None]:
    """Tells on stderr what is being measured, for people alone."""

    def tell(doing: str) -> None:
        if not as_json:
            sys.stderr.write(f"  {doing} …\n")

    return tell


def _paths(found: LoadFigures) -> list[tuple[str, str, str]]:
    """Rows about the native path, and the one that says that there is none."""
    if found.transcode_items_per_s is None:
        return [("encoding", f"{found.encode_items_per_s:,} items/s", "on one core, in Python")]
    left = 0.0 if found.refused_share is None else found.refused_share
    ratio = "" if found.python_path_ratio is None else f"{found.python_path_ratio:.2f}"
    return [
        ("encoding", f"{found.transcode_items_per_s:,} items/s", "on one core, by the native path alone"),
        ("left to Python", f"{left:.2%}", f"{found.encode_items_per_s:,} items/s with these"),
        ("ratio in Python", ratio, "of a load without the native path, to the same limit"),
    ]


def _show_load(found: LoadFigures, *, as_json: bool) -> int:
    is_equal = found.verify_differences == 0
    if as_json:
        output.print_json(found.as_json())
        return 0 if is_equal else 1
    console = output.console()
    what = f"{found.source} of {found.items:,} {found.profile} items of {found.item_bytes:,} bytes"
    title = f"{what}, {found.workers} workers"
    table = _table(title, "figure", "value", "")
    limit_s, plain_s = found.seconds["limit"], found.seconds["plain_copy"]
    for name, value, about in (
        ("load", f"{found.items_per_s:,} items/s", f"{found.mb_per_s:,} MB/s, first open to last commit of rows"),
        (
            "limit",
            f"{found.limit_rows_per_s:,} rows/s",
            f"COPY of prepared rows, source read beside it: {_list(limit_s)} s",
        ),
        (
            "plain COPY",
            f"{found.plain_copy_rows_per_s:,} rows/s",
            f"the same without reading the source: {_list(plain_s)} s",
        ),
        (
            "ratio",
            f"{found.ratio:.2f}",
            f"the limit's time over the load's; its runs differ by {found.limit_spread:.2f}",
        ),
        ("ratio to plain COPY", f"{found.ratio_plain_copy:.2f}", ""),
        *_paths(found),
        ("gunzip", "" if found.gunzip_us is None else f"{found.gunzip_us} µs", "an item, on one core"),
        ("keys", f"{found.key_build_s} s", "keys, indexes, ANALYZE; not in the above"),
        ("memory", f"{found.peak_rss_mb:,} MB", "of the loader and its workers, each at its peak"),
        ("verify", f"{found.verify_items_per_s:,} items/s", f"{found.verify_differences} differences"),
        ("rejected", f"{found.rejected:,}", "items"),
    ):
        table.add_row(name, value, about)
    console.print(table)
    _show_where(found.versions, found.machine)
    return 0 if is_equal else 1


def _show_queries(found: QueryFigures) -> None:
    console = output.console()
    table = _table(f"{found.rows:,} rows of 1.2 KB", "question", "seconds", "a team's own, at ten million")
    for name, seconds in found.seconds.items():
        theirs = found.origin_at_ten_million.get(name)
        table.add_row(name.replace("_", " "), f"{seconds:.4f}", "" if theirs is None else f"{theirs:g} s")
    console.print(table)
    _show_where(found.versions, found.machine)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place == 1 else "left", header_style="dim")
    return table


def _show_where(versions: Mapping[str, str], machine: Mapping[str, Any]) -> None:
    parts = ", ".join(f"{name} {version}" for name, version in versions.items())
    output.say(f"{machine['cores']} cores of {machine['model']}, {machine['memory_gb']} GB; {parts}")


def _list(seconds: Any) -> str:
    return ", ".join(f"{one:.2f}" for one in seconds)
