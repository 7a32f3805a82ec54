"""What DynamoDB's error answers mean: try again, or an error that says what to do.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from ashore.dynamodb.errors import (
    AccessDenied,
    CredentialsRefused,
    IteratorExpired,
    RequestRefused,
    ShardGone,
    SourceError,
    TableNotFound,
    Trimmed,
)

throttling = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "LimitExceededException",
    }
)
passing = frozenset({"InternalServerError", "InternalFailure", "ServiceUnavailable", "TransactionInProgressException"})
denied = frozenset({"AccessDeniedException", "AccessDenied", "NotAuthorized"})
stale_credentials = frozenset({"ExpiredTokenException", "ExpiredToken"})
refused_credentials = stale_credentials | {
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


class _Body(msgspec.Struct):
    type: str = msgspec.field(name="__type", default="")


class _Message(msgspec.Struct):
    message: str | None = None
    other: str | None = msgspec.field(name="Message", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked, for errors: the operation, the table, the shard, and whether the request held keys of items."""

    operation: str
    table: str
    has_keys: bool = False
    shard: str | None = None


def kind_of(body: bytes, status: int) -> str:
    """The error's type without its name space; ``HTTP 503`` if the answer is not DynamoDB's."""
    try:
        kind = msgspec.json.decode(body, type=_Body).type.rpartition("#")[2]
    except (msgspec.DecodeError, UnicodeDecodeError):
        kind = ""
    return kind or f"HTTP {status}"


def message_of(body: bytes) -> str:
    """The error's message; it may quote what was sent."""
    try:
        found = msgspec.json.decode(body, type=_Message)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return found.message or found.other or ""


def error_of(kind: str, message: str, request: Request, *, endpoint: str, request_id: str | None) -> SourceError:
    """The typed error for an answer that trying again does not mend.

    The message is kept only where the request held no key, since DynamoDB quotes what it does not like.
    """
    if kind in denied:
        found = re.search(r"User: (\S+) is not authorized", message)
        resource = re.search(r"on resource: (\S+)", message)
        return AccessDenied(
            f"dynamodb:{request.operation}",
            resource[1] if resource else f"table {request.table}",
            found[1] if found else None,
        )
    if kind in refused_credentials:
        return CredentialsRefused(kind)
    if request.shard is not None:
        match kind:
            case "TrimmedDataAccessException":
                return Trimmed(request.shard)
            case "ExpiredIteratorException":
                return IteratorExpired()
            case "ResourceNotFoundException":
                return ShardGone(request.shard)
            case _:
                pass
    if kind in ("ResourceNotFoundException", "TableNotFoundException"):
        return TableNotFound(request.table, endpoint)
    reason = kind if request.has_keys or not message else f"{kind}: {message}"
    return RequestRefused(request.operation, request.table, reason, request_id)
