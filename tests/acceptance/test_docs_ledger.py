"""The reference of the ledger is the schema that there is."""

from __future__ import annotations

import re
from typing import Final

from tests.acceptance.docs_pages import DOCS

from ashore.ledger.schema import ensure_ledger
from ashore.postgres.connect import connect

_COLUMNS: Final = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'ashore'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum
"""


def test_the_page_lists_every_table_and_view_and_column_in_order(postgres_dsn: str) -> None:
    with connect(postgres_dsn, application_name="test", autocommit=True) as conn:
        ensure_ledger(conn)
        expected: dict[str, list[tuple[str, str]]] = {}
        for table, column, kind in conn.execute(_COLUMNS):
            expected.setdefault(f"ashore.{table}", []).append((column, kind))

    text = (DOCS / "reference" / "ledger.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## `(ashore\.\w+)`\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    actual = {name: re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE) for name, section in sections}

    assert expected == actual
