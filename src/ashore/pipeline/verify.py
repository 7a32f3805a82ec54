"""Verify: proof that PostgreSQL holds what the source holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ashore.dynamodb.scan import TableSource
from ashore.ledger import loads, repairs, streams
from ashore.ledger.repairs import key_hash
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
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self, conn: Conn, keys: Sequence[bytes], is_complete: bool) -> None:  # noqa: FBT001 (a hook)
        """Queue them; then the gaps from before are nothing that the queue does not know of."""
        source = self.plan.name
        repairs.ask_repair(conn, source, [(key_hash(key), key, None) for key in dict.fromkeys(keys)], reason="verify")
        states = loads.entities_of(conn, source)
        synced = {name for name, one in states.items() if name and one.state in {"syncing", "reading"}}
        gaps = [gap for gap in streams.open_gaps(conn, source) if gap.found_at < self.began_at]
        if is_complete and synced <= set(self.entities) and gaps:
            streams.gaps_repaired(conn, source, [gap.id for gap in gaps])


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
            on_apart=_Repairs(plan=plan, entities=names) if repair else None,
        ),
        emit,
    )
