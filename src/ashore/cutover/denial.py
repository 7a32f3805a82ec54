"""What IAM can deny of writes to entities in DynamoDB: by partition keys, and nothing else of an item.

IAM sees the partition keys of a request (`dynamodb:LeadingKeys`), no sort keys and no items. So writes of an entity can
be denied where no item that stays in DynamoDB could have one of its partition keys; elsewhere they can only be found.

Sources:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html (StringLike)
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html (``${*}``)
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from ashore.mapping.pattern import Glob, Pattern, common_text
from ashore.mapping.plan import EntityPlan, Plan

SID_PREFIX: Final = "AshoreDeny"
WRITES: Final = (
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:PartiQLDelete",
    "dynamodb:PartiQLInsert",
    "dynamodb:PartiQLUpdate",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
)
"""Every action that writes items. TransactWriteItems needs those of its parts, ExecuteStatement the PartiQL ones.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html
"""
REPLICATION: Final = "arn:*:iam::*:role/aws-service-role/replication.dynamodb.amazonaws.com/*"
"""DynamoDB's own role for global tables: to deny it would stop replicas from being added.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-considerations.html
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """What can be denied.

    Attributes:
        keys: Partition keys as IAM's StringLike writes them; empty where the whole table can be denied.
        enforced: The entities whose every write can be denied.
        detected: Of the others, the name and why not.
        is_whole_table: Nothing else stays in the table.
    """

    keys: tuple[str, ...]
    enforced: tuple[str, ...]
    detected: tuple[tuple[str, str], ...]
    is_whole_table: bool = False


def denial(plan: Plan, group: Sequence[str], retired: Collection[str]) -> Denial:
    """What can be denied of writes to a crossing group. Only what is `retired` never comes back to DynamoDB."""
    staying = [*_staying(plan, {*group, *retired})]
    if not staying:
        return Denial(keys=(), enforced=tuple(group), detected=(), is_whole_table=True)
    keys: list[str] = []
    enforced: list[str] = []
    detected: list[tuple[str, str]] = []
    for name in group:
        reason, found = _of(plan.entities[name], staying)
        if reason is None:
            enforced.append(name)
            keys += found
        else:
            detected.append((name, reason))
    return Denial(keys=tuple(dict.fromkeys(keys)), enforced=tuple(enforced), detected=tuple(detected))


def statement(found: Denial, *, table_arn: str, writers: Sequence[str], sid: str) -> dict[str, Any] | None:
    """The statement of a resource-based policy that denies these writes to everyone but `writers`; None for no writes.

    ``ForAnyValue`` denies a batch that has one such key among others. A request that names no key is not denied by it,
    which is why a table that is denied as a whole has no such condition.

    Args:
        found: What can be denied.
        table_arn: The table's ARN.
        writers: ARNs of IAM roles or users, with ``*`` for any text: whoever writes rows back.
        sid: The statement's name; see `sid_of`.
    """
    if not found.enforced:
        return None
    condition: dict[str, Any] = {"ArnNotLike": {"aws:PrincipalArn": [*writers, REPLICATION]}}
    if not found.is_whole_table:
        condition["ForAnyValue:StringLike"] = {"dynamodb:LeadingKeys": list(found.keys)}
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(WRITES),
        "Resource": table_arn,
        "Condition": condition,
    }


def sid_of(source: str, group: Collection[str]) -> str:
    """The name of a group's statement: the same each time, of letters and digits, which is all that IAM takes."""
    text = "\0".join([source, *sorted(group)])
    return SID_PREFIX + hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _staying(plan: Plan, moved: AbstractSet[str]) -> Iterator[tuple[str, Pattern | Glob]]:
    """What goes on being written in DynamoDB: a name for it, and its partition keys."""
    for name, entity in plan.entities.items():
        if name not in moved:
            for pattern in _partitions(entity):
                yield f"entity {name}", pattern
    for rule in plan.rules:
        if not rule.rebuilt_from or not rule.rebuilt_from <= moved:
            yield f"{rule.rule.outcome} {rule.rule.name}", rule.partition


def _partitions(entity: EntityPlan) -> list[Pattern]:
    copies = () if entity.copies is None else entity.copies.generations
    return [generation.partition for generation in (*entity.generations, *copies)]


def _of(entity: EntityPlan, staying: Sequence[tuple[str, Pattern | Glob]]) -> tuple[str | None, list[str]]:
    """Why its writes cannot be denied, None where they can; and its partition keys as IAM writes them."""
    if entity.partition_key.type != "S":
        return "its partition key is not text", []
    keys = []
    for pattern in _partitions(entity):
        literals = pattern.parts[::2]
        if not all(_iam_takes(text) for text in literals):
            return f"{pattern.text} has characters that IAM does not take", []
        wide = Glob("*".join(literals))
        for other, theirs in staying:
            if common_text(wide, theirs) is not None:
                return f"it shares partition keys with {other}", []
        keys.append("*".join(_escaped(text) for text in literals))
    return None, keys


def _iam_takes(text: str) -> bool:
    """Whether a policy can hold the text: U+0020 to U+00FF."""
    return all(0x20 <= ord(character) <= 0xFF for character in text)


def _escaped(text: str) -> str:
    """Literal text between IAM's wildcards and variables."""
    return "".join(f"${{{character}}}" if character in "*?$" else character for character in text)
