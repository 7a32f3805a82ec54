"""The stream while PostgreSQL takes the writes: nothing of it is applied; what is no echo is somebody else's write."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from ashore.ledger import echoes
from ashore.ledger.echoes import Told
from ashore.ledger.loads import LockedState
from ashore.model.change import Change
from ashore.model.item import Item, item_digest
from ashore.postgres.connect import Conn
from ashore.sync.routing import KeyRouter, watched_entity

WATCHED: Final = frozenset({"writing", "returning", "retired"})
_decode: Final = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


def watch(
    conn: Conn,
    router: KeyRouter,
    changes: Sequence[Change],
    states: Mapping[str, LockedState],
    forget_copies: Callable[[Conn, str, Sequence[Item]], None],
) -> Counter[tuple[str, str]]:
    """Tell echoes from foreign writes, among the changes of entities that are in one of the `WATCHED` states.

    The caller's transaction, with the states locked. Every record counts here, not only the newest of a key. What time
    to live removes is nobody's write; neither is a removal of a retired entity, whose items may be purged. Copies whose
    time is over are kept no longer: `forget_copies` is given the entity and the keys that may be some.

    Returns:
        The number of changes by entity and outcome: echo, foreign, expired, purged.
    """
    watched = {name: found.state for name, found in states.items() if name and found.state in WATCHED}
    counts: Counter[tuple[str, str]] = Counter()
    if not watched:
        return counts
    told: list[Told] = []
    for change in changes:
        name = watched_entity(router.keyed(change))
        if name is None or name not in watched:
            continue
        if change.item is None and watched[name] == "retired":
            counts[name, "purged"] += 1
            continue
        told.append(
            Told(
                entity=name,
                key=change.key,
                key_hash=UUID(bytes=item_digest(_decode(change.key))),
                image=None if change.item is None else item_digest(_decode(change.item)),
                sequence=change.sequence,
                is_expiry=change.is_expiry,
                at=change.at,
            )
        )
    strange = echoes.foreign_among(conn, router.source, told)
    foreign = [one for one in strange if not one.is_expiry]
    echoes.keep_foreign(conn, router.source, foreign)
    expired: defaultdict[str, list[Item]] = defaultdict(list)
    for one in strange:
        if one.is_expiry:
            expired[one.entity].append(_decode(one.key))
    for name, keys in expired.items():
        forget_copies(conn, name, keys)
    counts.update((one.entity, "foreign") for one in foreign)
    counts.update((one.entity, "expired") for one in strange if one.is_expiry)
    counts.update((one.entity, "echo") for one in told)
    counts.subtract((one.entity, "echo") for one in strange)
    return +counts
