"""The small world with an index beside it: entities written in PostgreSQL, fed to a server, and what it should hold."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Self

import psycopg
from tests import cutover_world, sync_world
from tests.search_server import SearchServer
from tests.streamed_table import MemoryTable
from tests.sync_world import ENTITIES, SteppedLoad

from ashore.config.settings import Aws, Search
from ashore.ledger import feeder, feeds
from ashore.ledger.errors import LeaseLost
from ashore.mapping import declare
from ashore.mapping.match import AsRow, matcher
from ashore.opensearch.client import open_client
from ashore.opensearch.documents import document, document_id
from ashore.opensearch.errors import SearchUnreachable
from ashore.opensearch.feed import Feeder
from ashore.opensearch.index import SearchIndex
from ashore.opensearch.rebuild import Rebuild
from ashore.postgres.connect import connect
from ashore.postgres.items import prepare

NO_AWS: Final = Aws(region=None, profile=None, endpoint_url=None)
FED: Final = {"account": "accounts", "note": "notes"}


def id_of(key: dict[str, Any]) -> str:
    return f"{key['pk']}~{key['sk']}"


def account_document(item: dict[str, Any]) -> dict[str, Any] | None:
    """There is none of an account without anything in it."""
    if item.get("balance") == 0:
        return None
    return {"balance": item.get("balance"), "email": item.get("email")}


def note_document(item: dict[str, Any]) -> dict[str, Any]:
    made = {"text": item.get("text"), "lines": [one.get("words") for one in item.get("lines", [])]}
    return made | ({"weight": item["weight"]} if "weight" in item else {})


accounts: Final = declare.Search(index="accounts", id=id_of, document=account_document)
notes: Final = declare.Search(index="notes", id=id_of, document=note_document)
plan: Final = replace(
    sync_world.plan,
    entities={
        **sync_world.plan.entities,
        "account": replace(sync_world.plan.entities["account"], search=accounts),
        "note": replace(sync_world.plan.entities["note"], search=notes),
    },
)
_match = matcher(plan)


def search_index(server: SearchServer, **settings: Any) -> SearchIndex:
    said = {"is_signed": False, "login_env": None, "login": None, "ca_file": None, **settings}
    client = open_client(Search(endpoint=server.url, **said), NO_AWS, request_seconds=5)
    return SearchIndex(client=client, endpoint=server.url)


def items(number: int) -> list[dict[str, Any]]:
    """Some accounts, one of them under an older form of its key, and notes."""
    made: list[dict[str, Any]] = []
    for one in range(1, number + 1):
        made.append({"pk": {"S": f"account|{one}"}, "sk": {"S": "account"}, "balance": {"N": str(one)}})
        made.append({"pk": {"S": "owner|1"}, "sk": {"S": f"note|{one}"}, "text": {"S": "a"}})
        made[-1] |= {"noteRef": {"S": f"note|{one}"}, "ownerId": {"S": "1"}}
    made[0]["pk"] = {"S": "ACCOUNT#1"}
    return made


class FedWorld:
    """All entities written in PostgreSQL, accounts and notes fed; made once, and made again by `reset`."""

    def __init__(self, dsn: str, server: SearchServer, number: int = 3) -> None:
        self.dsn, self.server = dsn, server
        self.table = MemoryTable(3)
        sync_world.fresh(dsn)
        for item in items(number):
            self.table.put(item)
        sync_world.begin(dsn, self.table)
        SteppedLoad(dsn, self.table, ENTITIES).finish()
        sync_world.settle(dsn, self.table)
        cutover_world.write_in_postgres(dsn, *ENTITIES)
        self._side = psycopg.connect(dsn, autocommit=True)
        self.conn = connect(dsn, application_name="test feed", autocommit=True)
        prepare(self.conn)
        self.tables = sync_world.tables(self.conn)
        for table in ("account", "note"):
            self.do(f"CREATE TABLE world.first_{table} AS TABLE world.{table}")
        self.feeders: list[Feeder] = []
        self.begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.feeders:
            one.conn.close()
        self.conn.close()
        self._side.close()

    def begin(self) -> None:
        """Let both entities be fed, to new indexes."""
        for entity, index in FED.items():
            self.server.create(index)
            feeds.begin(
                self.conn, "world", entity, index=index, old_feed="never was one", notes_for_feed_only=False
            )  # fmt: skip

    def reset(self) -> None:
        """The rows of the beginning, an empty outbox, new indexes and nobody who feeds."""
        for one in self.feeders:
            one.conn.close()
        self.feeders.clear()
        self.server.faults.clear()
        cutover_world.write_in_postgres(self.dsn, *ENTITIES)
        self.do("DELETE FROM world.line; DELETE FROM world.note; DELETE FROM world.account")
        self.do("INSERT INTO world.account TABLE world.first_account; INSERT INTO world.note TABLE world.first_note")
        self.do(
            "DELETE FROM ashore.outbox; DELETE FROM ashore.feeder; DELETE FROM ashore.feed; DELETE FROM ashore.reverse"
        )
        self.begin()

    def do(self, statement: str, *arguments: Any) -> None:
        self._side.execute(statement.encode(), arguments)

    def rows(self, statement: str) -> list[Any]:
        return self._side.execute(statement.encode()).fetchall()

    def feeder(self, index: Any = None, **options: Any) -> Feeder:
        conn = connect(self.dsn, application_name="test feeder", autocommit=True)
        prepare(conn)
        one = Feeder(
            conn=conn, plan=plan, tables=self.tables, index=index or search_index(self.server), **options
        )  # fmt: skip
        self.feeders.append(one)
        return one

    def rebuild(self, entity: str, at_once: int = 2) -> Rebuild:
        """Begin a rebuild of the entity's index."""
        feeds.begin_rebuild(self.conn, "world", entity, feeds.feeds(self.conn, "world")[entity].index_name)
        began = feeds.feeds(self.conn, "world")[entity].rebuild_began_at
        assert began is not None
        return Rebuild(
            conn=self.conn,
            source="world",
            entity=plan.entities[entity],
            tables=self.tables,
            began=began,
            at_once=at_once,
        )

    def fill(self) -> None:
        """Make every document."""
        for entity in FED:
            one = self.rebuild(entity, at_once=100)
            while one.step():
                pass
        self.drain()
        self.assert_same()

    def drain(self, one: Feeder | None = None) -> None:
        """Feed until nothing is left but what is refused."""
        one = one or self.feeder()
        self.do("UPDATE ashore.feeder SET owner = NULL")
        for _ in range(1_000):
            with suppress(LeaseLost, SearchUnreachable):
                one.step()
            found = feeder.standing(self.conn, "world")
            if found.entries == found.refused:
                one.leave()
                return
        message = "the outbox does not become empty"
        raise AssertionError(message)

    def expected(self) -> dict[str, dict[str, Any]]:
        """Index → id → document, made of what the rows of PostgreSQL are, read by the tests' own reader."""
        wanted: dict[str, dict[str, Any]] = {index: {} for index in FED.values()}
        for key, item in sync_world.homes(self.dsn).rows.items():
            match = _match(*key)
            assert isinstance(match, AsRow)
            search = plan.entities[match.entity.name].search
            if search is not None and (made := document(search, item)) is not None:
                found = document_id(search, {"pk": item["pk"], "sk": item["sk"]})
                wanted[FED[match.entity.name]][found] = json.loads(made)
        return wanted

    def assert_same(self) -> None:
        expected = self.expected()
        for index in FED.values():
            assert expected[index] == self.server.documents(index)
