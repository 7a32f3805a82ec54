"""Changes become rows: set-wise, in the caller's transaction, each key in exactly one of its homes afterwards.

The homes of a key are a row, a rejected item and a parked change. A newer word on a key leaves its older homes first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import psycopg

from ashore.ledger import pending, rejected, repairs
from ashore.ledger.errors import CountMismatch
from ashore.ledger.loads import UNMATCHED
from ashore.ledger.pending import Parked
from ashore.ledger.repairs import key_hash
from ashore.mapping.encoded import Encoded, Rejected
from ashore.mapping.match import AsCopy, AsRow
from ashore.mapping.plan import Plan
from ashore.mapping.reasons import explanations
from ashore.postgres.connect import Conn, one_row
from ashore.postgres.errors import is_row_refused, refusal
from ashore.postgres.items import prepare
from ashore.postgres.names import TableName
from ashore.postgres.upsert import EntityWriter
from ashore.sync.contested import Contest
from ashore.sync.copies import CopiesKeeper
from ashore.sync.gathered import Gathered, Homes
from ashore.sync.lines import LineMaker, Lines
from ashore.sync.routing import Keyed, copy_identity, row_identity
from ashore.sync.waits import waits_for_link

_HOMES: Final = """
    SELECT EXISTS (SELECT FROM ashore.rejected_item WHERE source = %(source)s),
           EXISTS (SELECT FROM ashore.rejected_item WHERE source = %(source)s AND waits_for IS NOT NULL),
           EXISTS (SELECT FROM ashore.parked_change WHERE source = %(source)s),
           EXISTS (SELECT FROM ashore.repair WHERE source = %(source)s)
"""
_conflicts: Final = (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation)


class _RowOfAnother(Exception):
    """A row is there that belongs to another item."""


class NotAlone(Exception):
    """Other keys than the batch's own have to be moved, and another batch may have these in hand."""


class Applier:
    """Applies changes over one connection.

    Args:
        conn: In autocommit mode between the caller's transactions; its session keeps temporary tables.
        plan: The declaration; every entity of it that is given changes must have its tables, with primary keys.
        tables: Declared tables' full names → tables.
        maker: Of the same declaration.
    """

    def __init__(self, conn: Conn, plan: Plan, tables: Mapping[str, TableName], maker: LineMaker) -> None:
        self._conn = conn
        self._plan = plan
        self._tables = tables
        self._maker = maker
        self._writers: dict[str, EntityWriter] = {}
        self._is_alone = False
        self.crossed = False
        """Whether the last batch moved other keys than its own."""
        prepare(conn)

    def open(self, entities: Collection[str]) -> None:
        """Make ready to write these entities; in autocommit mode, before the transaction."""
        for name in entities:
            if name not in self._writers and name != UNMATCHED:
                writer = EntityWriter(self._plan.entities[name], self._tables, number=len(self._writers))
                writer.make_stages(self._conn)
                self._writers[name] = writer
                self._maker.admit(self._conn, writer.plan, self._tables)

    @property
    def opened(self) -> frozenset[str]:
        """The entities that can be written."""
        return frozenset(self._writers)

    def apply(
        self,
        changes: Sequence[Keyed],
        loads: Mapping[str, int],
        *,
        tries: Mapping[bytes, int] | None = None,
        is_repair: bool = False,
        is_alone: bool,
        lines: Lines | None = None,
    ) -> Counter[tuple[str, str]]:
        """Apply changes, no two of one key, each newer than whatever the database holds of its key.

        Args:
            changes: Of entities that were opened, or of `UNMATCHED`.
            loads: Entity → the load whose attempt this continues, for rejected items.
            tries: How often a parked change was tried before, by key.
            is_repair: Whether the repair queue itself asks: then it need not be told of its keys.
            is_alone: Whether the transaction has the homes of all keys to itself (`ashore.ledger.locks.lock_homes`).
            lines: Made beforehand; they are used if they are of exactly those changes that write an item.

        Returns:
            The number of changes by entity and outcome: rows, copy, removed, kept_expired, rejected, parked.

        Raises:
            NotAlone: Keys that are not among these have to be moved, and the transaction is not alone.
            psycopg.Error: Not because of a row; the caller's transaction has failed.
        """
        self._is_alone, self.crossed = is_alone, False
        if any(self._plan.entities[one.entity].copies is not None for one in changes if one.entity):
            self._cross()
        for writer in self._writers.values():
            writer.begin()
        batch = Gathered(loads, tries or {}, self._homes(is_repair=is_repair))
        changes = self._without_expiries(changes, batch)
        self._leave_homes(changes, batch)
        puts = [keyed for keyed in changes if keyed.change.item is not None]
        if lines is None or not lines.are_of(puts):
            lines = self._maker.make(puts)
        self._remove([one for one in changes if one.change.item is None] + [one for one, _ in lines.unfit], batch)
        batch.refused += [refused for _, refused in lines.unfit]
        batch.counts.update((one.entity or UNMATCHED, "removed") for one in changes if one.change.item is None)
        if batch.homes.has_waiting:
            contested, rest = self._waited_for(lines.fit)
            if contested:
                free = self._contest(contested, batch)
                lines = self._maker.make([*rest, *free])
        batch = self._land_all(lines, batch)
        self._land_conflicts(batch)
        self._settle_copies(batch)
        self._keep_refused(batch)
        self._release(batch)
        return batch.counts

    def _cross(self) -> None:
        self.crossed = True
        if not self._is_alone:
            raise NotAlone

    def _homes(self, *, is_repair: bool) -> Homes:
        found = one_row(self._conn.execute(_HOMES, {"source": self._plan.name}))
        return Homes(
            has_rejected=found[0], has_waiting=found[1], has_parked=found[2], has_repairs=found[3] and not is_repair
        )

    def _without_expiries(self, changes: Sequence[Keyed], batch: Gathered) -> Sequence[Keyed]:
        """Without those removals by time to live that the declaration says not to apply."""
        if not any(keyed.change.is_expiry for keyed in changes):
            return changes
        kept: list[Keyed] = []
        marks: defaultdict[str, list[tuple[str, tuple[str | None, ...]]]] = defaultdict(list)
        for keyed in changes:
            match = keyed.match
            if not keyed.change.is_expiry or not isinstance(match, AsRow) or match.entity.expired == "apply":
                kept.append(keyed)
                continue
            batch.counts[match.entity.name, "kept_expired"] += 1
            identity = self._identity(match, keyed)
            if match.entity.expired_column is not None and identity is not None:
                at = datetime.fromtimestamp(keyed.change.at, UTC).isoformat()
                marks[match.entity.name].append((at, identity))
        for name, rows in marks.items():
            column = self._plan.entities[name].expired_column
            if column is not None:
                self._writers[name].mark_expired(self._conn, column, rows)
        return kept

    def _leave_homes(self, changes: Sequence[Keyed], batch: Gathered) -> None:
        homes, source = batch.homes, self._plan.name
        if not (homes.has_rejected or homes.has_parked or homes.has_repairs):
            return
        if homes.has_rejected:
            keys = [rejected.storable(keyed.key.decode()) for keyed in changes]
            batch.waited.update(rejected.forget_rejected_keys(self._conn, source, keys))
        hashes = [key_hash(keyed.key) for keyed in changes]
        if homes.has_parked:
            pending.unpark(self._conn, source, hashes)
        if homes.has_repairs:
            repairs.touch(self._conn, source, hashes)

    def _release(self, batch: Gathered) -> None:
        """Let those be read again that wait for what has changed, and for nothing that this batch rejected."""
        waited = batch.waited - {one.waits_for for one in batch.refused}
        if waited:
            found = rejected.waiting_for(self._conn, self._plan.name, sorted(waited))
            keys = [(key_hash(key.encode()), key.encode(), entity) for key, entity, _ in found]
            repairs.ask_repair(self._conn, self._plan.name, keys, reason="waited")

    def _identity(self, match: AsRow, keyed: Keyed) -> tuple[str | None, ...] | None:
        return row_identity(match, keyed.texts, tells_forms=self._writers[match.entity.name].tells_forms)

    def _remove(self, gone: Sequence[Keyed], batch: Gathered) -> None:
        """Delete the rows and copies of these keys, whichever there are."""
        rows: defaultdict[str, list[tuple[str | None, ...]]] = defaultdict(list)
        copies: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)
        for keyed in gone:
            match keyed.match:
                case AsRow() as found if (identity := self._identity(found, keyed)) is not None:
                    rows[found.entity.name].append(identity)
                case AsCopy() as found if (key := copy_identity(found.entity, keyed.texts)) is not None:
                    copies[found.entity.name].append(key)
                case _:
                    continue
        for name, identities in rows.items():
            batch.links[name].update(self._writers[name].delete(self._conn, identities))
        for name, keys in copies.items():
            writer = self._writers[name]
            batch.links[name].update(writer.copy_links(self._conn, keys))
            self._keeper(name).before(self._conn, batch.links[name])
            writer.delete_copies(self._conn, keys)

    def _keeper(self, name: str) -> CopiesKeeper:
        writer = self._writers[name]
        return CopiesKeeper(plan=writer.plan, tables=self._tables, writer=writer)

    def _waited_for(self, fit: Sequence[Keyed]) -> tuple[list[Keyed], list[Keyed]]:
        """The items of entities some of whose items are rejected for the sake of others, and the other items."""
        reasons = rejected.reasons_of(self._conn, self._plan.name)
        names = {name for name, reason in reasons if reason == "duplicate_key"}
        contested = [one for one in fit if isinstance(one.match, AsRow) and one.match.entity.name in names]
        chosen = {id(one) for one in contested}
        return contested, [one for one in fit if id(one) not in chosen]

    def _contest(self, puts: Sequence[Keyed], batch: Gathered) -> list[Keyed]:
        """Those items that share their row with no other; the others are rejected."""
        self._cross()
        free: list[Keyed] = []
        by_entity: defaultdict[str, list[Keyed]] = defaultdict(list)
        for keyed in puts:
            if isinstance(keyed.match, AsRow):
                by_entity[keyed.match.entity.name].append(keyed)
            else:
                free.append(keyed)
        for name, of_entity in by_entity.items():
            contest = Contest(plan=self._plan, tables=self._tables, writer=self._writers[name], trial=self._why_refused)
            allowed, refused = contest.settle(self._conn, of_entity)
            free += allowed
            batch.refused += refused
            batch.links[name].update(contest.links)
        return free

    def _land_all(self, lines: Lines, batch: Gathered) -> Gathered:
        """Write items; where one meets the row of another, all are judged together before any is written again."""
        attempt = batch.copy()
        try:
            if self._landed(lines, attempt):
                return attempt
            with self._conn.transaction():
                self._land_halves(lines, attempt)
        except (_RowOfAnother, psycopg.errors.CardinalityViolation):
            free = self._contest(lines.fit, batch)
            if len(free) == len(lines.fit):
                raise CountMismatch(where="rows of other items", expected=0, actual=len(free)) from None
            return self._land_all(self._maker.make(free), batch)
        return attempt

    def _land(self, lines: Lines, batch: Gathered, *, is_last: bool = False) -> None:
        """Write items; those that PostgreSQL refuses are found by halving."""
        if not self._landed(lines, batch, is_last=is_last):
            self._land_halves(lines, batch, is_last=is_last)

    def _land_halves(self, lines: Lines, batch: Gathered, *, is_last: bool = False) -> None:
        middle = len(lines.fit) // 2
        for half in (lines.fit[:middle], lines.fit[middle:]):
            self._land(self._maker.make(half, as_text=True), batch, is_last=is_last)

    def _landed(self, lines: Lines, batch: Gathered, *, is_last: bool = False) -> bool:
        """Write items, or refuse the only one; False where PostgreSQL refused one of several, and none is written."""
        if not lines.fit:
            return True
        names = {keyed.match.entity.name for keyed in lines.fit if isinstance(keyed.match, AsRow | AsCopy)}
        try:
            with self._conn.transaction():
                for name in sorted(names):
                    self._write(name, lines.encoded, batch)
        except psycopg.Error as error:
            if not is_row_refused(error) or isinstance(error, psycopg.errors.CardinalityViolation):
                raise
            if len(lines.fit) > 1 or lines.encoded.binary:
                return False
            self._refuse(lines.fit[0], error, batch, is_last=is_last)
        else:
            batch.counts.update({key: number for key, number in _counts(lines.encoded).items() if number})
        return True

    def _write(self, name: str, encoded: Encoded, batch: Gathered) -> None:
        writer = self._writers[name]
        entity = writer.plan
        staged = writer.stage(self._conn, encoded)
        if entity.copies is None:
            if not writer.upsert_staged(self._conn, encoded.copy_data, staged):
                raise _RowOfAnother
            return
        links = {*writer.staged_links(self._conn), *batch.links[name]}
        self._keeper(name).before(self._conn, links)
        if not writer.upsert_staged(self._conn, encoded.copy_data, staged):
            raise _RowOfAnother
        batch.links[name].update(links)
        if batch.homes.has_waiting:
            batch.waited.update(waits_for_link(entity, link) for link in links)

    def _settle_copies(self, batch: Gathered) -> None:
        """Settle the copies whose originals or siblings were written or removed, once all of the batch has landed."""
        for name, links in batch.links.items():
            if self._plan.entities[name].copies is not None and links:
                keeper = self._keeper(name)
                keeper.before(self._conn, links)
                keeper.after(self._conn, links)
                batch.refused += keeper.rejected

    def _refuse(self, keyed: Keyed, error: psycopg.Error, batch: Gathered, *, is_last: bool) -> None:
        if not isinstance(error, _conflicts):
            self._remove([keyed], batch)
            batch.refused.append(_refused(keyed, error))
        elif is_last:
            self._park(keyed, error, batch)
        else:
            batch.conflicts.append((keyed, error.diag.constraint_name or ""))

    def _why_refused(self, keyed: Keyed) -> Rejected | None:
        """Whether PostgreSQL refuses the item's row for its own sake; nothing is written. None where it does not."""
        encoded = self._maker.make([keyed], as_text=True).encoded
        writer = self._writers[keyed.entity or UNMATCHED]
        try:
            with self._conn.transaction(force_rollback=True):
                writer.upsert_staged(self._conn, {}, writer.stage(self._conn, encoded))
        except psycopg.Error as error:
            if not is_row_refused(error):
                raise
            return None if isinstance(error, _conflicts) else _refused(keyed, error)
        return None

    def _land_conflicts(self, batch: Gathered) -> None:
        """Those that stand in each other's way: without their rows all together, then what is left is parked."""
        if batch.conflicts:
            puts = [keyed for keyed, _ in batch.conflicts]
            batch.conflicts.clear()
            self._remove(puts, batch)
            self._land(self._maker.make(puts), batch, is_last=True)

    def _park(self, keyed: Keyed, error: psycopg.Error, batch: Gathered) -> None:
        name = keyed.entity or UNMATCHED
        batch.counts[name, "parked"] += 1
        parked = Parked(
            entity=name,
            key_hash=key_hash(keyed.key),
            key=keyed.key,
            item=keyed.change.item or b"",
            at=keyed.change.at,
            conflict=error.diag.constraint_name or "",
            tries=batch.tries.get(keyed.key, 0),
        )
        pending.park(self._conn, self._plan.name, [parked])

    def _keep_refused(self, batch: Gathered) -> None:
        by_load: defaultdict[int, list[Rejected]] = defaultdict(list)
        for one in batch.refused:
            batch.counts[one.entity or UNMATCHED, "rejected"] += 1
            by_load[batch.loads[one.entity or UNMATCHED]].append(one)
        for load, ones in by_load.items():
            rejected.keep_rejected(self._conn, load=load, source=self._plan.name, rejected=ones)


def _refused(keyed: Keyed, error: psycopg.Error) -> Rejected:
    return Rejected(
        entity=keyed.entity,
        attribute=None,
        reason="refused_by_postgres",
        detail=refusal(error) or explanations["refused_by_postgres"],
        key=keyed.key.decode(),
        raw=keyed.change.item or b"",
    )


def _counts(encoded: Encoded) -> dict[tuple[str, str], int]:
    return {
        (entity or UNMATCHED, outcome): number
        for (entity, outcome), number in encoded.counts.items()
        if outcome in {"rows", "copy"}
    }
