"""Verify: proof that PostgreSQL holds what the source holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ashore.dynamodb.scan import TableSource
from ashore.ledger import gaps, loads, repairs
from ashore.ledger.repairs import key_hash
from ashore.ledger.schema import ensure_ledger
from ashore.mapping.declared import PlanReference
from ashore.mapping.plan import Plan
from ashore.model.chunk import ItemSource
from ashore.observe.events import Emit, silent
from ashore.pipeline.load import tables_of
from ashore.postgres.connect import Conn, connect
from ashore.verify.report import VerifyReport
from ashore.verify.run import EVERY_ITEM, VerifyOrder, run_verify


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repairs:
    """Asks for the repair of keys that differ."""

    plan: Plan
    entities: tuple[str, ...]
    gaps: frozenset[int]

    def __call__(self, conn: Conn, keys: Sequence[bytes], is_complete: bool) -> None:  # noqa: FBT001 (a hook)
        """Queue them; then the gaps that were known before are nothing that the queue does not know of."""
        source = self.plan.name
        repairs.ask_repair(conn, source, [(key_hash(key), key, None) for key in dict.fromkeys(keys)], reason="verify")
        states = loads.entities_of(conn, source)
        synced = {name for name, one in states.items() if name and one.state in {"syncing", "reading"}}
        if is_complete and synced <= set(self.entities) and self.gaps:
            gaps.gaps_repaired(conn, source, sorted(self.gaps))


def verify(  # noqa: PLR0913 (the options of the command)
    *,
    plan: Plan,
    reference: PlanReference,
    source: ItemSource,
    dsn: str,
    entities: Sequence[str] = (),
    workers: int = 2,
    witness: int = 5,
    witness_all: bool = False,
    repair: bool = False,
    emit: Emit = silent,
) -> VerifyReport:
    """Compare some entities (all that are declared, if none is named) with a fresh reading of the source.

    With `repair`, the keys that differ are put into the repair queue of the sync, which reads them again; gaps that
    were found before are closed where every synced entity was compared.

    Raises:
        AshoreError: As `ashore.verify.run.run_verify`; nothing is concluded.
    """
    names = tuple(entities) or tuple(plan.entities)
    with connect(dsn, application_name="ashore verify", autocommit=True) as conn:
        targets = {
            name: table for entity in names for name, table in tables_of(conn, plan.entities[entity]).items()
        }  # fmt: skip
        if repair:
            ensure_ledger(conn)
        known = frozenset(gap.id for gap in gaps.open_gaps(conn, plan.name) if gap.decision) if repair else None
    return run_verify(
        VerifyOrder(
            dsn=dsn,
            plan=plan,
            reference=reference,
            source=source,
            entities=names,
            targets=targets,
            fetch=source.get_items if isinstance(source, TableSource) else None,
            workers=workers,
            witness=EVERY_ITEM if witness_all else witness,
            on_apart=None if known is None else _Repairs(plan=plan, entities=names, gaps=known),
        ),
        emit,
    )
