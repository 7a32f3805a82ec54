"""The TypeScript client of the documentation: compiled, and run by Node.js against a real ledger."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from tests.acceptance.docs_pages import DOCS, ROOT, read_page
from tests.conftest import missing
from tests.slow_wire import Wire, wire_to

from ashore.ledger import loads
from ashore.ledger.crossing import hold, move
from ashore.ledger.schema import ensure_ledger
from ashore.postgres.connect import Conn, connect

PACKAGES: Final = ("pg@8.23.1", "typescript@5.9.3", "@types/pg@8.23.1", "@types/node@20.19.43")
FOLDER: Final = ROOT / ".cache" / "typescript"
VALIDITY_MS: Final = 1_000
_INSTALL_SECONDS: Final = 100
_ANSWERED: Final = """
    SELECT FROM pg_stat_activity
    WHERE query LIKE '%%ashore.routes%%' AND query_start > %s AND state = 'idle' AND pid <> pg_backend_pid()
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the page's client and the driver, compiled."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing("Node.js and npm are not installed")
    compiler = FOLDER / "node_modules" / ".bin" / "tsc"
    if not compiler.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--prefix", str(FOLDER), "--no-audit", "--no-fund", *PACKAGES]
        try:
            subprocess.run(install, check=True, capture_output=True, timeout=_INSTALL_SECONDS)
        except (subprocess.SubprocessError, OSError) as error:
            missing(f"npm could not install {', '.join(PACKAGES)}: {type(error).__name__}")
    folder = tmp_path_factory.mktemp("typescript")
    for block in read_page(DOCS / "how-to" / "use-from-typescript.md").blocks:
        name = block.option("file")
        if name is not None:
            (folder / name).write_text(block.text, encoding="utf-8")
    shutil.copy(Path(__file__).with_name("routes_driver.ts"), folder)
    (folder / "node_modules").symlink_to(FOLDER / "node_modules")
    options = ["--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "commonjs"]
    files = sorted(str(path) for path in folder.glob("*.ts"))
    done = subprocess.run(
        [str(compiler), *options, "--types", "node", "--skipLibCheck", "--outDir", str(folder), *files],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert 0 == done.returncode, done.stdout
    return folder


class Driver:
    """A process of Node.js that calls the client."""

    def __init__(self, folder: Path, wire: Wire, **options: int) -> None:
        to = psycopg.conninfo.conninfo_to_dict(wire.dsn)
        address = [str(to[name]) for name in ("host", "port", "dbname", "user")]
        self._numbers = count()
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._kept: dict[int, dict[str, Any]] = {}
        self._process = subprocess.Popen(
            ["node", str(folder / "routes_driver.js"), "court", *address, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(json.loads(line))

    def begin(self, call: str, *entities: str, **options: Any) -> int:
        assert self._process.stdin is not None
        number = next(self._numbers)
        order = {"id": number, "call": call, "entities": entities, "options": options}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return number

    def end(self, number: int, seconds: float = 30) -> Any:
        """What was given, or the name of the error."""
        while number not in self._kept:
            found = self._answers.get(timeout=seconds)
            self._kept[found["id"]] = found
        found = self._kept.pop(number)
        assert found.get("isOurs", True), found
        return found.get("error") or found["given"]

    def is_waiting(self, number: int, seconds: float) -> bool:
        try:
            self.end(number, seconds)
        except queue.Empty:
            return True
        return False

    def call(self, call: str, *entities: str, **options: Any) -> Any:
        return self.end(self.begin(call, *entities, **options))

    def close(self) -> None:
        """Have it closed: the process ends by itself then."""
        self.call("close")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            assert 0 == self._process.wait(20)
        finally:
            self._process.kill()
            self._process.stdout.close()


@pytest.fixture
def conn(postgres_dsn: str) -> Iterator[Conn]:
    with connect(postgres_dsn, application_name="test", autocommit=True) as made:
        ensure_ledger(made)
        loads.declare_entities(made, "court", {"case": ["c"], "message": ["m"]})
        loads.set_state(made, source="court", entities=["case", "message"], state="syncing")
        made.execute("INSERT INTO ashore.crossing VALUES ('court', %(ms)s, %(ms)s)", {"ms": VALIDITY_MS})
        yield made


@pytest.fixture
def wire(conn: Conn) -> Iterator[Wire]:
    with wire_to(conn.info.dsn) as made:
        yield made


@pytest.fixture
def driver(compiled: Path, wire: Wire) -> Iterator[Driver]:
    made = Driver(compiled, wire, writeMs=300, lagMarginMs=500)
    yield made
    made.close()


def set_state(conn: Conn, state: str, *entities: str) -> None:
    conn.execute(
        "UPDATE ashore.entity SET state = %s, came_from = NULL, deadline = NULL, epoch = epoch + 1"
        " WHERE entity = ANY(%s)",
        (state, list(entities) or ["case", "message"]),
    )
    time.sleep(VALIDITY_MS / 1000)


def test_reads_and_writes_follow_the_states(conn: Conn, driver: Driver) -> None:
    assert driver.call("reads", "message") == "dynamodb"
    found = driver.call("write", "message", "case")
    assert (found["store"], found["aborted"]) == ("dynamodb", False)
    assert 300 <= found["left"] <= VALIDITY_MS
    set_state(conn, "reading")
    assert driver.call("reads", "message") == "dynamodb", "law 11: this process wrote, and no lag is known"
    set_state(conn, "writing")
    assert driver.call("reads", "message") == "postgres"
    assert driver.call("write", "message", "case")["store"] == "postgres"
    set_state(conn, "syncing", "case")
    assert driver.call("write", "message", "case") == "StoresDiffer"


def test_what_cannot_be_told_is_an_error(driver: Driver) -> None:
    assert driver.call("reads", "mesage") == "EntityNotRouted"
    assert driver.call("write", "message", "mesage") == "EntityNotRouted"
    assert driver.call("write", "message", writeMs=VALIDITY_MS) == "WriteTooLong"


def test_law_11_a_read_that_feeds_a_write_stays_where_the_writes_are(conn: Conn, driver: Driver) -> None:
    set_state(conn, "reading")
    assert driver.call("reads", "message") == "postgres"
    assert driver.call("reads", "message", feedsWrite=True) == "dynamodb"
    assert driver.call("reads", "message", wroteMsAgo=5_000) == "dynamodb"
    conn.execute("INSERT INTO ashore.stream (source, arn, origin, state) VALUES ('court', 'arn', '{}', 'running')")
    conn.execute(
        "INSERT INTO ashore.shard (source, shard, state, at_horizon, passed_at)"
        " VALUES ('court', 's', 'open', true, clock_timestamp() - interval '1 minute')"
    )
    time.sleep(VALIDITY_MS / 1000)
    assert driver.call("reads", "message", wroteMsAgo=40_000) == "dynamodb"
    assert driver.call("reads", "message", wroteMsAgo=90_000) == "postgres"


def test_a_write_that_is_held_waits_and_goes_where_the_writes_are_then(conn: Conn, driver: Driver) -> None:
    hold(conn, source="court", entities=["message"], expected=["syncing"], to="draining", seconds=60)
    assert driver.call("write", "message", waitMs=300) == "WritesHeld"
    assert driver.call("reads", "message") == "dynamodb"
    feeding = driver.begin("reads", "message", feedsWrite=True)
    assert driver.is_waiting(feeding, 0.5)
    writes = [driver.begin("write", "message") for _ in range(5)]
    assert driver.is_waiting(writes[0], 0.5)
    with conn.transaction():
        move(conn, source="court", entities=["message"], expected="draining", to="writing")
    assert [driver.end(write)["store"] for write in writes] == ["postgres"] * 5
    assert driver.end(feeding) == "postgres"


def test_what_was_refused_is_asked_for_anew(conn: Conn, driver: Driver) -> None:
    set_state(conn, "writing")
    assert driver.call("write", "message")["store"] == "postgres"
    conn.execute("UPDATE ashore.entity SET state = 'syncing', epoch = epoch + 1 WHERE entity = 'message'")
    driver.call("forget")
    assert driver.call("write", "message")["store"] == "dynamodb", "what it was told before would be valid still"


def test_law_13_a_hold_whose_deadline_passes_ends_by_itself(conn: Conn, driver: Driver) -> None:
    hold(conn, source="court", entities=["message"], expected=["syncing"], to="draining", seconds=0.5)
    assert driver.call("write", "message")["store"] == "dynamodb"


def test_law_12_the_validity_counts_from_before_the_question(conn: Conn, wire: Wire, driver: Driver) -> None:
    assert driver.call("reads", "message") == "dynamodb"
    time.sleep(VALIDITY_MS / 1000)
    wire.delay_seconds = 0.4
    before = conn.execute("SELECT clock_timestamp()").fetchone()
    write = driver.begin("begin", "message", writeMs=50, waitMs=3_000)
    while conn.execute(_ANSWERED, before).fetchone() is None:
        time.sleep(0.01)
    hold(conn, source="court", entities=["message"], expected=["syncing"], to="draining", seconds=60)
    fenced_at = time.monotonic()
    found = driver.end(write)
    assert found == "WritesHeld" or found["left"] <= VALIDITY_MS - 400, "what the machine's own pauses allow"
    wire.delay_seconds = 0.0
    time.sleep(max(0.0, fenced_at + VALIDITY_MS / 1000 - time.monotonic()))
    assert all(left <= 0 for left in driver.call("left"))
    assert driver.call("write", "message", waitMs=200) == "WritesHeld"


def test_without_the_ledger_writes_are_held_and_reads_go_on(conn: Conn, wire: Wire, driver: Driver) -> None:
    assert driver.call("reads", "message") == "dynamodb"
    wire.cut()
    time.sleep(VALIDITY_MS / 1000)
    assert driver.call("write", "message", waitMs=300) == "RoutesVoid"
    assert driver.call("reads", "message") == "dynamodb"
    write = driver.begin("write", "message")
    set_state(conn, "writing")
    wire.mend()
    assert driver.end(write)["store"] == "postgres"
