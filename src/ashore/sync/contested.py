"""Several items that give one row: none of them may have it, so each is rejected until the others are gone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import msgspec

from ashore.ledger import rejected
from ashore.mapping.document import encode
from ashore.mapping.encoded import Rejected
from ashore.mapping.encoder import item_key
from ashore.mapping.items import from_rows
from ashore.mapping.match import AsCopy, AsRow, key_texts, matcher
from ashore.mapping.plan import Plan
from ashore.mapping.reasons import explanations
from ashore.mapping.rows import to_rows
from ashore.postgres.connect import Conn
from ashore.postgres.items import RowKey, RowReader
from ashore.postgres.names import TableName
from ashore.postgres.upsert import EntityWriter, Link
from ashore.sync.routing import Keyed, row_identity
from ashore.sync.waits import row_key, waits_for_row

_decode: Final = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Finds the items of one entity that give the row of another item, and rejects all of them.

    `trial` says whether PostgreSQL would refuse an item's row for its own sake: such an item is no rival. `links`
    gathers those of the rows that were taken off.
    """

    plan: Plan
    tables: Mapping[str, TableName]
    writer: EntityWriter
    trial: Callable[[Keyed], Rejected | None]
    links: set[Link] = field(default_factory=set)

    @cached_property
    def _match(self) -> Any:
        return matcher(self.plan)

    def settle(self, conn: Conn, puts: Sequence[Keyed]) -> tuple[list[Keyed], list[Rejected]]:
        """Which of these items may have their rows, and what is rejected; the caller's transaction.

        `puts` are readable items of this entity, none a copy. A row of an item that is not among them is taken off its
        table, and the item that it is joins the rejected ones. Deletions of the batch must have been done.
        """
        entity = self.writer.plan
        by_row: defaultdict[RowKey, list[Keyed]] = defaultdict(list)
        for keyed in puts:
            if isinstance(keyed.match, AsRow) and keyed.change.item is not None:
                rows = to_rows(entity, _decode(keyed.change.item), keyed.match.generation)
                by_row[row_key(entity, rows.row)].append(keyed)
        owners = self._owners(conn, list(by_row))
        waiting = self._waiting(conn, list(by_row))
        free: list[Keyed] = []
        refused: list[Rejected] = []
        for key, rivals in by_row.items():
            texts = {keyed.texts for keyed in rivals}
            owner = owners.get(key)
            others = waiting.get(waits_for_row(entity, key), set()) - {keyed.key.decode() for keyed in rivals}
            is_owned_by_other = owner is not None and owner[0] not in texts
            if len(texts) == 1 and not is_owned_by_other and not others:
                free += rivals
                continue
            unfit = [one for keyed in rivals if (one := self.trial(keyed)) is not None]
            refused += unfit
            out = {one.key for one in unfit}
            fit = [keyed for keyed in rivals if keyed.key.decode() not in out]
            contenders = len(fit) + is_owned_by_other + len(others)
            if owner is not None and (contenders > 1 or not is_owned_by_other):
                self._take_off(conn, owner[0])
            if contenders == 1:
                free += fit
                continue
            if owner is not None and is_owned_by_other and contenders > 1:
                refused.append(self._rejected(owner[1], key))
            refused += [self._rejected(keyed.change.item or b"", key) for keyed in fit]
        return free, refused

    def _owners(self, conn: Conn, keys: Sequence[RowKey]) -> dict[RowKey, tuple[Any, bytes]]:
        """The key texts and the item of each row that is there."""
        reader = RowReader(plan=self.writer.plan, tables=self.tables)
        found = {}
        for key, rows in reader.by_key(conn, keys):
            item = from_rows(self.writer.plan, rows)
            texts = key_texts(self.plan, item)
            if not isinstance(self._match(*texts), AsCopy):  # a promoted copy gives way to any item
                found[key] = (texts, encode(item))
        return found

    def _waiting(self, conn: Conn, keys: Sequence[RowKey]) -> dict[str, set[str]]:
        """The keys of rejected items that wait for these rows, by digest."""
        digests = [waits_for_row(self.writer.plan, key) for key in keys]
        waiting: defaultdict[str, set[str]] = defaultdict(set)
        for key, _, digest in rejected.waiting_for(conn, self.plan.name, digests):
            waiting[digest].add(key)
        return waiting

    def _take_off(self, conn: Conn, texts: Any) -> None:
        """Delete the row of the item with this key."""
        entity = self.writer.plan
        for place, _ in enumerate(entity.generations):
            identity = row_identity(AsRow(entity, place), texts, tells_forms=self.writer.tells_forms)
            if identity is not None:
                self.links.update(self.writer.delete(conn, [identity]))

    def _rejected(self, raw: bytes, key: RowKey) -> Rejected:
        return Rejected(
            entity=self.writer.plan.name,
            attribute=None,
            reason="duplicate_key",
            detail=explanations["duplicate_key"],
            key=item_key(self.plan, _decode(raw)),
            raw=raw,
            waits_for=waits_for_row(self.writer.plan, key),
        )
