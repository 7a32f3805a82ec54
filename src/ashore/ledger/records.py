"""What is kept for good: the steps of a load, verifications, and who ran what."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from psycopg.types.json import Jsonb

from ashore.postgres.connect import Conn, one_row

_STEP = """
    INSERT INTO ashore.load_step (load, name, seconds, finding) VALUES (%(load)s, %(name)s, %(seconds)s, %(finding)s)
    ON CONFLICT (load, name) DO UPDATE SET seconds = excluded.seconds, finding = excluded.finding
"""
_STEPS = "SELECT name, seconds, finding FROM ashore.load_step WHERE load = %s ORDER BY ended_at, name"
_VERIFICATION = "INSERT INTO ashore.verification (source, report) VALUES (%s, %s) RETURNING id"
_DENIED = """
    SELECT command = 'deny writes' FROM ashore.audit
    WHERE command IN ('deny writes', 'allow writes') AND detail ->> 'source' = %(source)s
      AND detail -> 'sids' ?| %(sids)s::text[]
    ORDER BY id DESC LIMIT 1
"""
_AUDIT = "INSERT INTO ashore.audit (command, detail) VALUES (%s, %s)"


def keep_step(conn: Conn, load: int, name: str, seconds: float, finding: Mapping[str, Any] | None = None) -> None:
    """Note that a step of a load is done, in the transaction that did it."""
    stored = None if finding is None else Jsonb(dict(finding))
    conn.execute(_STEP, {"load": load, "name": name, "seconds": seconds, "finding": stored})


def steps(conn: Conn, load: int) -> dict[str, tuple[float, dict[str, Any] | None]]:
    """The steps of a load that are done: name → seconds and finding."""
    return {name: (seconds, finding) for name, seconds, finding in conn.execute(_STEPS, (load,))}


def keep_verification(conn: Conn, source: str, report: Mapping[str, Any]) -> int:
    """Keep a verification's report; return its number."""
    return int(one_row(conn.execute(_VERIFICATION, (source, Jsonb(dict(report)))))[0])


def audit(conn: Conn, command: str, detail: Mapping[str, Any]) -> None:
    """Note who ran a command that changed something."""
    conn.execute(_AUDIT, (command, Jsonb(dict(detail))))


def was_denied(conn: Conn, source: str, sids: Collection[str]) -> bool:
    """Whether one of these statements was put into the table's policy, and not taken out again since."""
    row = conn.execute(_DENIED, {"source": source, "sids": sorted(sids)}).fetchone()
    return row is not None and bool(row[0])
