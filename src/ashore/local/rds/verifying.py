"""Whether a token lets somebody in, and if not, why. Pure: what RDS keeps to itself is told here."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

from botocore.credentials import ReadOnlyCredentials

from ashore.postgres.iam.signing import ALGORITHM, LIFETIME_SECONDS, SERVICE, STAMP, signature_of

SKEW_SECONDS: Final = 300.0
"""How far in the future a token may be dated: what AWS allows for clocks that disagree."""

_required: Final = (
    "Action",
    "DBUser",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What an endpoint is called, and where it says that it is.

    Attributes:
        host, port: What tokens have to be signed for. Behind a tunnel or a relay, clients dial another port.
        resource_id: What policies name it by: ``cluster-…`` for Aurora, ``db-…`` for an instance; never its name.
    """

    host: str
    port: int
    region: str
    resource_id: str
    account: str = "123456789012"

    def resource(self, user: str) -> str:
        """The resource of `rds-db:connect` for a role.

        Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
        """
        return f"arn:aws:rds-db:{self.region}:{self.account}:dbuser:{self.resource_id}/{user}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody with AWS credentials, and the resources on which `rds-db:connect` is allowed to them (with * and ?)."""

    key: ReadOnlyCredentials
    may_connect: Sequence[str] = ("*",)

    def may(self, resource: str) -> bool:
        """Whether a policy of theirs allows it."""
        return any(re.fullmatch(_pattern(allowed), resource) for allowed in self.may_connect)


def refusal(token: str, *, user: str, endpoint: Endpoint, identities: Iterable[Identity], now: float) -> str | None:
    """Why a token is refused to `user` at `endpoint`; None where it is good.

    Args:
        token: As it came, of whatever length.
        user: The role of the startup packet.
        endpoint: The one that was dialled.
        identities: Whose signatures count.
        now: Seconds since 1970.
    """
    netloc, slash, query = token.partition("/?")
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    missing = [name for name in _required if name not in given]
    if not slash or missing or len(given) != len(pairs):
        return "it is no token"
    if netloc != f"{endpoint.host}:{endpoint.port}":
        return f"it is for {netloc}"
    if given["Action"] != "connect" or given["X-Amz-SignedHeaders"] != "host":
        return "it is for something else than connecting"
    if given["DBUser"] != user:
        return "it is for another role"
    return (
        _wrong_scope(given, endpoint)
        or _wrong_time(given, now)
        or _wrong_signature(netloc, query, given, endpoint=endpoint, identities=identities)
    )


def _wrong_scope(given: dict[str, str], endpoint: Endpoint) -> str | None:
    parts = given["X-Amz-Credential"].split("/")
    if given["X-Amz-Algorithm"] != ALGORITHM or len(parts) != 5:
        return "it is signed in another way"
    _, day, region, service, end = parts
    if region != endpoint.region:
        return f"it is for region {region}"
    if (service, end) != (SERVICE, "aws4_request") or day != given["X-Amz-Date"][:8]:
        return "it is signed in another way"
    return None


def _wrong_time(given: dict[str, str], now: float) -> str | None:
    try:
        signed_at = datetime.strptime(given["X-Amz-Date"], STAMP).replace(tzinfo=UTC).timestamp()
        lifetime = int(given["X-Amz-Expires"])
    except ValueError:
        return "it has no date"
    if not 0 < lifetime <= LIFETIME_SECONDS:
        return "it claims to be valid for too long"
    if now < signed_at - SKEW_SECONDS:
        return "it is dated in the future"
    if now >= signed_at + lifetime:
        return f"it expired {now - signed_at - lifetime:.0f} s ago"
    return None


def _wrong_signature(
    netloc: str, query: str, given: dict[str, str], *, endpoint: Endpoint, identities: Iterable[Identity]
) -> str | None:
    access_key = given["X-Amz-Credential"].partition("/")[0]
    found = next((one for one in identities if one.key.access_key == access_key), None)
    if found is None:
        return "its access key is unknown"
    if given.get("X-Amz-Security-Token") != found.key.token:
        return "its session token is not the access key's"
    unsigned = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))
    stamp = given["X-Amz-Date"]
    expected = signature_of(netloc, unsigned, key=found.key, region=endpoint.region, stamp=stamp)
    if not hmac.compare_digest(expected.encode(), given["X-Amz-Signature"].encode()):
        return "its signature is wrong"
    if not found.may(endpoint.resource(given["DBUser"])):
        return f"no policy allows rds-db:connect on {endpoint.resource(given['DBUser'])}"
    return None


def _pattern(allowed: str) -> str:
    return re.escape(allowed).replace(r"\*", ".*").replace(r"\?", ".")
