"""Keeping an application's DynamoDB client within its permits. Imports botocore when it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ashore.app.permit import innermost_permit

if TYPE_CHECKING:
    from botocore.config import Config

_LEAST_ATTEMPT_SECONDS: Final = 0.4
_MOST_ATTEMPTS: Final = 3
_CONNECT_SHARE: Final = 0.25
_WRITES: Final = (
    "BatchExecuteStatement",
    "BatchWriteItem",
    "DeleteItem",
    "ExecuteStatement",
    "ExecuteTransaction",
    "PutItem",
    "TransactWriteItems",
    "UpdateItem",
)


def write_config(write_seconds: float, **more: Any) -> Config:
    """Timeouts and retries of a botocore client whose writes take at most so long, one request with its retries.

    As many attempts as fit, three at most, each with its own part of the time; what lies between them is counted as
    the longest that botocore chooses by itself (up to 1 s before the second attempt, 2 s before the third). DynamoDB
    may ask for a longer pause (header `x-amz-retry-after`): that is what `keep_to_permits` is for.

    Args:
        write_seconds: The same as that of `Routes`; at least 0.4.
        more: Further settings of `botocore.config.Config`.

    Raises:
        ValueError: There is no time for one attempt.

    Source: https://docs.aws.amazon.com/botocore/latest/reference/config.html,
    https://github.com/boto/botocore/blob/develop/botocore/retries/standard.py
    """
    from botocore.config import Config as BotocoreConfig  # noqa: PLC0415 (an application without it can use the rest)

    for attempts in range(_MOST_ATTEMPTS, 0, -1):
        pauses = 2.0 ** (attempts - 1) - 1
        each = (write_seconds - pauses) / attempts
        if each >= _LEAST_ATTEMPT_SECONDS:
            return BotocoreConfig(
                connect_timeout=each * _CONNECT_SHARE,
                read_timeout=each * (1 - _CONNECT_SHARE),
                retries={"mode": "standard", "total_max_attempts": attempts},
                **more,
            )
    message = f"write_seconds must be at least {_LEAST_ATTEMPT_SECONDS}, and is {write_seconds}"
    raise ValueError(message)


def keep_to_permits(client: Any) -> None:
    """Have a boto3 client send no write that could still be under way when the permit it is made under ends.

    Each attempt of a request, a retry too, is looked at just before it is sent: if the innermost open permit for
    DynamoDB has less time left than one attempt may take by the client's timeouts, `PermitTooShort` is raised and it is
    not sent. Writes outside of every such permit, and all reads, are left alone. Idempotent.

    Args:
        client: Of the service `dynamodb`; for a resource, its `meta.client`. One of another kind is not kept at all.
    """
    needed = client.meta.config.connect_timeout + client.meta.config.read_timeout

    def check(**_: Any) -> None:
        permit = innermost_permit("dynamodb")  # what one for PostgreSQL is for is not written here
        if permit is not None:
            permit.require(needed)

    for operation in _WRITES:
        client.meta.events.register_first(
            f"before-send.dynamodb.{operation}", check, unique_id=f"ashore-permits-{operation}"
        )
