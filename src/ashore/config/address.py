"""The address of a PostgreSQL database: libpq's forms, and one of ours for logging in with IAM.

    postgresql+iam://app@court.cluster-abc.us-east-1.rds.amazonaws.com/court

is libpq's URI with `+iam`, and takes three parameters more: `region`, `sign_for` and `profile`. It holds all that a
process needs to know, so it can stand wherever an address can, and cross to other processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from psycopg import conninfo

IAM_SCHEMES: Final = ("postgresql+iam://", "postgres+iam://")
_OURS: Final = ("region", "sign_for", "profile")


@dataclass(frozen=True, slots=True, kw_only=True)
class IamSettings:
    """How tokens are signed, where the address does not say it.

    Attributes:
        region: Of the database. None: as its host name says.
        sign_for: The endpoint's own name, ``host`` or ``host:port`` (5432 where it has none), where another is dialled:
            a tunnel's end on this machine, or a name of one's own. TLS is then verified for this name.
        profile: The AWS profile. None: boto3's own.
    """

    region: str | None = None
    sign_for: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """libpq's parameters, as the text has them, and how to sign where the login is by IAM."""

    parameters: Mapping[str, str]
    iam: IamSettings | None

    def __str__(self) -> str:
        """The parameters in keywords, with `iam` and its settings for a login by IAM. Secrets are not hidden."""
        shown = conninfo.make_conninfo("", **self.parameters)
        if self.iam is None:
            return shown
        ours = [f"{name}={value}" for name in _OURS if (value := getattr(self.iam, name)) is not None]
        return " ".join([shown, "(IAM" + "".join(f", {one}" for one in ours) + ")"])


def parse(text: str) -> Address:
    """Take an address apart.

    Raises:
        psycopg.ProgrammingError: libpq cannot read it.
    """
    for scheme in IAM_SCHEMES:
        if text.startswith(scheme):
            uri, iam = _without_ours(text.removeprefix(scheme))
            return Address(parameters=_parameters(uri), iam=iam)
    return Address(parameters=_parameters(text), iam=None)


def _parameters(text: str) -> dict[str, str]:
    return {name: str(value) for name, value in conninfo.conninfo_to_dict(text).items() if value is not None}


def _without_ours(rest: str) -> tuple[str, IamSettings]:
    base, _, query = rest.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    ours = {name: value for name, value in pairs if name in _OURS and value}
    kept = urlencode([(name, value) for name, value in pairs if name not in _OURS], quote_via=quote)
    return f"postgresql://{base}" + (f"?{kept}" if kept else ""), IamSettings(**ours)


def with_defaults(text: str, defaults: Mapping[str, str]) -> str:
    """The same address, with libpq's parameters that it says nothing of; it stays one for IAM if it is one.

    Raises:
        psycopg.ProgrammingError: libpq cannot read it.
    """
    address = parse(text)
    missing = {name: value for name, value in defaults.items() if name not in address.parameters}
    if address.iam is None or not missing:
        return conninfo.make_conninfo(text, **missing) if missing else text
    return text + ("&" if "?" in text else "?") + urlencode(missing, quote_via=quote)
