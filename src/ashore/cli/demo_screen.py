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
    Moved,
    Moving,
    Proven,
    ReadsMoved,
    Rehearsed,
    RejectsFound,
    RestorePoint,
    Serving,
    Synced,
    Syncing,
    Verified,
    Verifying,
    WritersBegin,
    WrittenBack,
)
from ashore.local.demo_proof import Proof
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
    ("ashore cutover", "reads, then writes, behind gates; and ashore rollback, the way back"),
)


@dataclass(slots=True)
class DemoScreen:
    """Prints each event of the demo as it happens."""

    console: Console
    items: int = 0
    _progress: Progress | None = None
    _task: TaskID | None = None
    _steps: int = 0
    _moves: int = 0
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
            ", goes back, and crosses again,\nwhile an application writes to it without end. No write is lost."
            " All happens on this machine.",
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
                self._bar("writes sent, and records of the stream that were applied", arrived, sent)
            case Verifying(event=told):
                self._advance("verifying", told)
            case Moving(gates=gates):
                self._end_bar()
                if not self._moves:
                    self._say(f"gates of the writes, all open: [dim]{', '.join(gates)}[/]")
                self._doing("holding writes")
            case Serving() | Filled() | WritersBegin() | Loaded() | RejectsFound() | Synced() | Verified() | Answer():
                self._end_bar()
                self._done(event)
            case _:
                self._end_bar()
                self._moved(event)

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
                self._step("Writers", f"from here on an application writes, {a_second:.0f} times a second, without end")
                self._say("Before each call it asks [b]ashore.app[/b] which store the call goes to.\n")
            case Loaded(outcome=outcome):
                self._loaded(outcome)
            case RejectsFound():
                self._rejected(event)
            case Synced():
                text = f"{event.merged:,} changes captured beside the load were merged; now each is applied as it comes"
                self._step("Sync", text)
                self._say(
                    f"The application put {event.put_right} of them right in DynamoDB, and the stream brought them.\n"
                )
            case Verified(report=report):
                self._verified(report)
            case Answer():
                self._answer(event)
            case _:
                assert_never(event)

    def _moved(self, event: RestorePoint | ReadsMoved | Rehearsed | Moved | WrittenBack | Proven) -> None:
        match event:
            case RestorePoint():
                size = f"{event.bytes / 1e6:.0f} MB in {event.seconds:.1f} s"
                self._step("Restore points", f"{event.name}, {size};")
                self._say("point-in-time recovery of the DynamoDB table is on. Both are gates.\n")
            case ReadsMoved():
                self._step("Cut over", f"[b]{' and '.join(event.entities)}[/b] cross; all else stays in DynamoDB")
                self._say(f"[b]reads[/b]      {event.gates} gates open. Calls that only read go to PostgreSQL.")
            case Rehearsed():
                self._say(
                    f"[b]rehearsal[/b]  Holds nothing. Predicts that writes will be held for {event.seconds:.1f} s."
                )
            case Moved(to="postgres"):
                if self._moves:
                    self._step("Cut over again", "after a fresh verification, as one of the gates asks for")
                self._say(f"[b]writes[/b]     {event.gates} gates open. {_held(event)}, now taken by PostgreSQL.")
                self._say(f"           {_waited(event)}")
            case Moved():
                self._step(
                    "Roll back",
                    f"{event.gates} gates open. {_held(event)}, now taken by DynamoDB, which has all",
                )
                self._say(f"{_waited(event)}\n")
            case WrittenBack():
                waiting = f", {event.waiting} wait for their turn" if event.waiting else ""
                self._say(
                    f"[b]way back[/b]   {event.items:,} rows written since became items in DynamoDB again{waiting}.\n"
                )
            case Proven(proof=proof):
                self._proven(proof)
            case _:
                assert_never(event)
        if isinstance(event, Moved):
            self._moves += 1

    def finish(self, report: DemoReport) -> None:
        """Print what came of it, and what to do next."""
        if report.untrue:
            lines = "\n".join(f"[red]✗[/red] {line}" for line in report.untrue)
            self.console.print(Panel(lines, title="[b red]These numbers do not add up[/b red]", border_style="red"))
            return
        written = report.proof.written
        held = max(one.held_seconds for one in report.moves)
        done = Text.assemble(
            ("✓ ", "bold green"),
            f"{written.sent:,} writes sent, {report.proof.in_postgres.writes:,} found in each store. ",
            ("0 differences", "bold"),
            f" on either side.\n  Over, back and over again, writes were held for {held:.1f} s at most.\n",
            f"  The longest pause that a writer saw, from beginning to end: {written.longest_seconds:.1f} s.\n",
            f"  {report.seconds:.0f} s in all.\n",
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

    def _say(self, text: str) -> None:
        self.console.print(Padding(text, (0, 0, 0, 4), expand=False), highlight=False)

    def _doing(self, what: str) -> None:
        if self.console.is_terminal:
            self._progress = Progress(TextColumn("   [dim]{task.description} …"), console=self.console, transient=True)
            self._progress.start()
            self._progress.add_task(what)

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

    def _proven(self, proof: Proof) -> None:
        written, rows, items = proof.written, proof.in_postgres, proof.in_dynamodb
        self._step("Proof", "the writers stop, the last write arrives, and both stores are read whole")
        kinds = ", ".join(f"{written.kinds[kind]:,} {kind}s" for kind in ("put", "update", "delete"))
        table = _table("", "sent", "in PostgreSQL", "in DynamoDB")
        table.add_row(f"writes: {kinds}", *map(_number, (written.sent, rows.writes, items.writes)))
        last = "records that bear their last write"
        table.add_row(last, *map(_number, (len(written.standing), rows.records, items.records)))
        table.add_row(
            "records that bear another, or were deleted",
            "0",
            str(rows.strange),
            str(items.strange),
        )
        self._indented(table)
        self._say(
            f"DynamoDB took {written.sent_to('dynamodb'):,} of them, PostgreSQL {written.sent_to('postgres'):,}."
            " Each has a number, and each record counts its own."
        )
        self._say(
            f"{sum(written.read_back.values()):,} times a writer read its own last write back,"
            f" wherever reads were then: {written.stale} were stale."
        )
        style = "green" if proof.differences == 0 else "red"
        self._say(
            f"{proof.compared:,} items as boto3 reads them, against what the rows rebuild:"
            f" [{style} bold]{proof.differences} differences[/].\n"
        )

    def _verified(self, report: VerifyReport) -> None:
        sums = {
            name: sum(getattr(entity, name) for entity in report.entities)
            for name in ("actual", "missing", "extra", "different", "settled", "witnessed", "refuted")
        }
        self._step("Verify", f"a fresh Scan against the rows, both ways, while writes go on, in {report.seconds:.1f} s")
        style = "green" if report.total_differences == 0 else "red"
        missing = ", ".join(f"{sums[name]} {name}" for name in ("missing", "extra", "different"))
        lines = (
            f"{sums['actual']:,} records: {missing}.",
            f"{sums['settled']} of them were being written, and agreed when they were read again.",
            f"{sums['witnessed']:,} items of all shapes, rebuilt and read by boto3: {sums['refuted']} differ.",
            f"[{style} bold]{report.total_differences} differences[/], as of {report.ended_at:%Y-%m-%d %H:%M:%S} UTC.",
        )
        self.console.print(Padding("\n".join(lines), (0, 0, 1, 4), expand=False), highlight=False)

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


def _held(event: Moved) -> str:
    return f"[b]Held for {event.held_seconds:.1f} s[/b]"


def _waited(event: Moved) -> str:
    return f"The longest that a writer waited: [b]{event.longest_seconds:.1f} s[/b]. No write failed."


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
