"""Verify: proof that PostgreSQL holds what the source holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ashore.dynamodb.scan import TableSource
from ashore.errors import AshoreError
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
from ashore.verify.reread import never
from ashore.verify.run import EVERY_ITEM, PATIENCE_SECONDS, VerifyOrder, run_verify


@dataclass(eq=False, kw_only=True)
class RepairNeedsTable(AshoreError):
    """Keys that differ are to be repaired, and what they are held against is an export. Nothing was read."""

    code = "ASH834"
    exit_code = 2

    def what(self) -> str:
        return "a repair reads keys again from the table, and the settings name an export"

    def hint(self) -> str:
        return "verify against the table: give --table, or set table in ashore.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repairs:
    """Asks for the repair of keys that differ, if that is wanted; and then nothing is lost any more in earlier gaps."""

    plan: Plan
    entities: tuple[str, ...]
    gaps: tuple[int, ...]
    is_wanted: bool

    def __call__(self, conn: Conn, keys: Sequence[bytes], is_complete: bool) -> None:  # noqa: FBT001 (a hook)
        """Queue them. The gaps from before close when they have left the queue; at once, if nothing differs."""
        source = self.plan.name
        if self.is_wanted:
            asked = [(key_hash(key), key, None) for key in dict.fromkeys(keys)]
            repairs.ask_repair(conn, source, asked, reason="verify")
        states = loads.entities_of(conn, source)
        synced = {name for name, one in states.items() if name and one.state in {"syncing", "reading"}}
        if self.gaps and is_complete and synced <= set(self.entities) and (self.is_wanted or not keys):
            gaps.gaps_asked(conn, source, self.gaps)
            gaps.close_gaps(conn, source)


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
    patience_seconds: float = PATIENCE_SECONDS,
    should_stop: Callable[[], bool] = never,
    emit: Emit = silent,
) -> VerifyReport:
    """Compare some entities (all that are declared, if none is named) with a fresh reading of the source.

    With `repair`, the keys that differ are put into the repair queue of the sync, which reads them again. Gaps that the
    workers went on from before this began close once these keys have left the queue, if every synced entity was
    compared; without `repair`, if nothing differs.

    Raises:
        RepairNeedsTable: The source is an export.
        VerificationStopped: `should_stop` said so.
        AshoreError: As `ashore.verify.run.run_verify`; nothing is concluded.
    """
    names = tuple(entities) or tuple(plan.entities)
    is_live = isinstance(source, TableSource)
    if repair and not is_live:
        raise RepairNeedsTable
    with connect(dsn, application_name="ashore verify", autocommit=True) as conn:
        ensure_ledger(conn)
        targets = {
            name: table for entity in names for name, table in tables_of(conn, plan.entities[entity]).items()
        }  # fmt: skip
        known = tuple(gap.id for gap in gaps.open_gaps(conn, plan.name) if gap.decision is not None)
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
            patience_seconds=patience_seconds,
            should_stop=should_stop,
            on_apart=_Repairs(plan=plan, entities=names, gaps=known, is_wanted=repair) if is_live else None,
        ),
        emit,
    )
