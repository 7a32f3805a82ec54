"""How `ashore demo` looks in a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import assert_never

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from ashore.load.report import LoadReport
from ashore.local.demo_events import (
    Answer,
    DemoEvent,
    DemoReport,
    Filled,
    Filling,
    Loaded,
    Loading,
    RejectsFound,
    Serving,
    Synced,
    Syncing,
    Verified,
    Verifying,
    WritersBegin,
)
from ashore.observe import events
from ashore.pipeline.load import LoadOutcome
from ashore.verify.report import VerifyReport

_next_steps = (
    ("declare", "your entities in Python, as ashore/local/court/declaration.py does"),
    ("ashore check", "every problem of project, connections and permissions at once"),
    ("ashore load --dry-run", "how many items, read units, minutes and dollars it will take"),
    ("ashore load --sync", "killed at any instant and started again, it goes on where it was"),
    ("ashore sync run", "captures beside the load, merges, applies; for as long as you like"),
    ("ashore verify", "both ways and exact, with a report that is kept"),
)


@dataclass(slots=True)
class DemoScreen:
    """Prints each event of the demo as it happens."""

    console: Console
    items: int = 0
    _progress: Progress | None = None
    _task: TaskID | None = None
    _steps: int = 0
    _answers: int = 0
    _dsn: str = ""
    _psql: str = field(default="psql")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Print the heading, and take bars off the screen at the end, whatever ended it."""
        text = Text.assemble(
            "A court's ",
            ("one DynamoDB table", "bold"),
            " crosses into ",
            ("PostgreSQL", "bold"),
            " while it is written to.\nIt is proved equal. All happens on this machine, and nothing is left behind.",
        )
        self.console.print(Panel(text, title="[b]ashore demo[/b]", border_style="cyan", padding=(0, 2)))
        try:
            yield
        finally:
            self._end_bar()

    def show(self, event: DemoEvent) -> None:
        """Print one event."""
        match event:
            case Filling():
                self._bar("putting items", event.items, event.of)
            case Loading(event=told):
                self._advance("loading", told)
            case Syncing(arrived=arrived, sent=sent):
                self._bar("syncing writes", arrived, sent)
            case Verifying(event=told):
                self._advance("verifying", told)
            case _:
                self._end_bar()
                self._done(event)

    def _done(
        self, event: Serving | Filled | WritersBegin | Loaded | RejectsFound | Synced | Verified | Answer
    ) -> None:
        match event:
            case Serving():
                self._dsn, self._psql = event.dsn, str(event.psql)
                servers = f"PostgreSQL {event.postgres} and DynamoDB ({event.dynamodb})"
                self._step("Servers", f"{servers}, ready in {event.seconds:.1f} s")
            case Filled():
                self.items = event.items
                text = f"{event.items:,} items in table [b]{event.table}[/b], put by boto3 in {event.seconds:.1f} s"
                self._step("A court's table", text)
            case WritersBegin(a_second=a_second):
                text = f"from here on an application puts, updates and deletes, {a_second:.0f} times a second"
                self._step("Writers", text)
            case Loaded(outcome=outcome):
                self._loaded(outcome)
            case RejectsFound():
                self._rejected(event)
            case Synced():
                self._synced(event)
            case Verified(report=report):
                self._verified(report)
            case Answer():
                self._answer(event)
            case _:
                assert_never(event)

    def finish(self, report: DemoReport) -> None:
        """Print what came of it, and what to do next."""
        if report.untrue:
            lines = "\n".join(f"[red]✗[/red] {line}" for line in report.untrue)
            self.console.print(Panel(lines, title="[b red]These numbers do not add up[/b red]", border_style="red"))
            return
        done = Text.assemble(
            ("✓ ", "bold green"),
            f"{report.synced.written.sent:,} writes sent, {report.synced.records:,} found. {report.items:,} items, ",
            ("0 differences", "bold"),
            f". {report.seconds:.0f} s in all.\n",
        )
        steps = Table.grid(padding=(0, 3))
        for command, what in _next_steps:
            steps.add_row(f"[b]{command}[/b]", what)
        body = Group(done, Text("Next, with your own table", style="bold"), steps)
        self.console.print(Panel(body, border_style="green", padding=(0, 2)))

    def waiting(self) -> None:
        """Say how to connect while the servers are kept."""
        self.console.print("The servers run until you press Enter. Look around:\n")
        self.console.print(f'  {self._psql} "{self._dsn}"\n', soft_wrap=True, highlight=False)

    def _step(self, name: str, text: str) -> None:
        self._steps += 1
        line = f"[bold cyan]{self._steps}[/]  [b]{name}[/b]  {text}"
        self.console.print(line, highlight=False)

    def _indented(self, table: Table) -> None:
        self.console.print(Padding(table, (1, 0, 1, 4), expand=False))

    def _bar(self, doing: str, done: int, of: int) -> None:
        if self._progress is None or self._task is None:
            columns = (TextColumn("   [dim]{task.description}"), BarColumn(40), MofNCompleteColumn())
            self._progress = Progress(
                *columns, console=self.console, transient=True, disable=not self.console.is_terminal
            )
            self._progress.start()
            self._task = self._progress.add_task(doing, total=of)
        self._progress.update(self._task, completed=done, total=of)

    def _advance(self, doing: str, told: events.Event) -> None:
        match told:
            case events.LoadStarted():
                self._bar(doing, 0, self.items)
            case events.Progress() if self._progress is not None and self._task is not None:
                self._progress.advance(self._task, told.items)
            case _:
                return

    def _end_bar(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress, self._task = None, None

    def _loaded(self, outcome: LoadOutcome) -> None:
        report = outcome.report
        tables = f"{sum(report.rows.values()):,} rows in {len(report.rows)} tables, with their keys and indexes"
        self._step("Load", f"by Scan and COPY in {report.seconds:.1f} s: {tables}")
        table = _table("entity", "items", "rows", "copies", "rejected")
        for entity in sorted(report.entities, key=lambda name: -_items(report, name)):
            rows, copies = _items(report, entity, "rows"), _items(report, entity, "copy")
            rejected = _items(report, entity, "rejected")
            table.add_row(entity, *map(_number, (rows + copies + rejected, rows, copies, rejected)))
        ruled = sum(count.items for count in report.counts if count.outcome in {"not_yet", "left_out"})
        unmatched = sum(count.items for count in report.counts if count.entity is None and count.outcome == "rejected")
        table.add_row("[dim]left out, or not yet, by rule[/]", _number(ruled), "", "", "")
        table.add_row("[dim]no pattern matches[/]", _number(unmatched), "", "", _number(unmatched))
        counted = sum(count.items for count in report.counts)
        table.add_section()
        table.add_row("[b]counted out[/b] of " + f"{report.items:,} in", f"[b]{counted:,}[/b]", "", "", "")
        self._indented(table)
        for copies_of in outcome.copies:
            differing = ", ".join(f"{name} in {items}" for name, items in copies_of.attributes.most_common(2))
            self.console.print(
                f"   Of {copies_of.copies} copies of work items [b]{copies_of.differing} differ[/b] from their original"
                f" ({differing}).\n   [b]{copies_of.promoted}[/b] had lost it, and became rows themselves.\n",
                highlight=False,
            )

    def _rejected(self, found: RejectsFound) -> None:
        total = sum(line.items for line in found.lines)
        self._step("Rejected", f"{total} items could not be rows as declared; each is kept whole, with its reason")
        table = _table("entity", "items", "attribute", "reason", numbers=("items",))
        for line in found.lines:
            table.add_row(
                line.entity or "[dim]none[/]", str(line.items), line.attribute or "", _first_clause(line.detail)
            )
        self._indented(table)

    def _synced(self, synced: Synced) -> None:
        written = synced.written
        text = (
            f"{synced.merged:,} changes captured beside the load were merged; from then on each is applied as it comes"
        )
        self._step("Sync", text)
        kinds = ", ".join(f"{written.kinds[kind]:,} {kind}s" for kind in ("put", "update", "delete"))
        table = _table("", "expected", "found")
        table.add_row(f"writes sent: {kinds}", _number(written.sent), _number(synced.records))
        last = "keys whose row has their last write"
        table.add_row(last, _number(len(written.standing)), _number(synced.found))
        table.add_row(f"rows that have an older one, or that of {written.gone} deleted keys", "0", str(synced.strange))
        self._indented(table)
        arrived = f"The last one arrived within [b]{synced.seconds:.1f} s[/b]."
        self.console.print(f"   Each write has a number of its own, found by SQL. {arrived}\n", highlight=False)

    def _verified(self, report: VerifyReport) -> None:
        sums = {
            name: sum(getattr(entity, name) for entity in report.entities)
            for name in ("expected", "actual", "missing", "extra", "different", "witnessed", "refuted")
        }
        self._step("Verify", f"a fresh Scan against the rows, both ways, in {report.seconds:.1f} s")
        style = "green" if report.total_differences == 0 else "red"
        lines = (
            f"{sums['actual']:,} records of {sums['expected']:,} expected, with their children and copies:",
            f"{sums['missing']} missing, {sums['extra']} extra, {sums['different']} different.",
            f"{sums['witnessed']:,} items rebuilt from their rows, against what boto3 reads: {sums['refuted']} differ.",
            f"[{style} bold]{report.total_differences} differences[/], as of {report.ended_at:%Y-%m-%d %H:%M:%S} UTC.",
        )
        self.console.print(Padding("\n".join(lines), (1, 0, 1, 4)), highlight=False)

    def _answer(self, answer: Answer) -> None:
        if self._answers == 0:
            self._step("Questions", "that DynamoDB could not answer")
        self._answers += 1
        question = answer.question
        self.console.print(f"   [b]{question.title}[/b]", highlight=False)
        sql = Syntax(question.sql, "sql", theme="ansi_dark", background_color="default")
        self.console.print(Padding(sql, (1, 0, 0, 4), expand=False))
        numbers = [
            name for place, name in enumerate(answer.columns) if all(_is_number(row[place]) for row in answer.rows)
        ]
        table = _table(*answer.columns, numbers=numbers)
        for row in answer.rows:
            table.add_row(*row)
        self._indented(table)
        took = f"[b]{answer.milliseconds:.1f} ms[/b]. [dim]In DynamoDB:[/] {question.in_dynamodb}."
        self.console.print(f"    {took}\n", highlight=False)


def _table(*columns: str, numbers: Collection[str] | None = None) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, header_style="dim", pad_edge=False)
    right = set(columns[1:]) if numbers is None else set(numbers)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left")
    return table


def _items(report: LoadReport, entity: str, outcome: str | None = None) -> int:
    return sum(
        count.items
        for count in report.counts
        if count.entity == entity and count.outcome in ({outcome} if outcome else {"rows", "copy", "rejected"})
    )


def _number(number: int) -> str:
    return f"{number:,}" if number else "[dim]·[/]"


def _first_clause(detail: str) -> str:
    """What fits a line of the table; the ledger has it whole."""
    return detail.partition(" (")[0].partition(", which")[0].partition(" of the form")[0]


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
