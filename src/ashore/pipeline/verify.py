"""Verify: proof that PostgreSQL holds what the source holds."""

from __future__ import annotations

from collections.abc import Sequence

from ashore.dynamodb.scan import TableSource
from ashore.mapping.declared import PlanReference
from ashore.mapping.plan import Plan
from ashore.model.chunk import ItemSource
from ashore.observe.events import Emit, silent
from ashore.pipeline.load import tables_of
from ashore.postgres.connect import connect
from ashore.verify.report import VerifyReport
from ashore.verify.run import EVERY_ITEM, VerifyOrder, run_verify


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
    emit: Emit = silent,
) -> VerifyReport:
    """Compare some entities (all that are declared, if none is named) with a fresh reading of the source.

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
        ),
        emit,
    )
