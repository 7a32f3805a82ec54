"""A token is a presigned URL without its scheme. Pure: nobody is asked, the clock is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from ashore.config.secret import Secret

LIFETIME_SECONDS: Final = 900
"""Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html"""

SERVICE: Final = "rds-db"
ALGORITHM: Final = "AWS4-HMAC-SHA256"
STAMP: Final = "%Y%m%dT%H%M%SZ"


SigningKey = ReadOnlyCredentials
"""AWS credentials as they are at one moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom a token lets in, and where: the server compares all four."""

    host: str
    port: int
    user: str
    region: str

    @property
    def netloc(self) -> str:
        """Host and port, as they are signed."""
        return f"{self.host}:{self.port}"


def sign(target: Target, key: SigningKey, at: float) -> Secret:
    """A token, valid for 900 s from `at` (seconds since 1970) or until the credentials end, whichever is first.

    The same, to the letter, as boto3's `generate_db_auth_token`; but botocore's debug log, which prints what that one
    signs and the signature, hears nothing of it.
    """
    stamp = datetime.fromtimestamp(at, UTC).strftime(STAMP)
    parameters = {
        "Action": "connect",
        "DBUser": target.user,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{key.access_key}/{stamp[:8]}/{target.region}/{SERVICE}/aws4_request",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(LIFETIME_SECONDS),
        "X-Amz-SignedHeaders": "host",
    }
    if key.token is not None:
        parameters["X-Amz-Security-Token"] = key.token
    query = urlencode(parameters, quote_via=quote, safe="-_.~")
    signature = signature_of(target.netloc, query, key=key, region=target.region, stamp=stamp)
    return Secret(f"{target.netloc}/?{query}&X-Amz-Signature={signature}")


def signature_of(netloc: str, query: str, *, key: SigningKey, region: str, stamp: str) -> str:
    """The signature, in hexadecimal, of a request ``GET https://{netloc}/?{query}``."""
    request = AWSRequest(method="GET", url=f"https://{netloc}/?{query}")
    request.context["timestamp"] = stamp
    auth = SigV4QueryAuth(key, SERVICE, region)
    signature: str = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return signature
