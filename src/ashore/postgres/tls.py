"""TLS where an address says nothing of it."""

from __future__ import annotations

from collections.abc import Mapping

from ashore.postgres.address import is_this_machine, resolved
from ashore.postgres.authorities import SYSTEM, root_certificate, users_root_certificate
from ashore.postgres.endpoints import is_rds


def tls_defaults(parameters: Mapping[str, str]) -> dict[str, str]:
    """The TLS settings for what these parameters, and libpq's environment, leave open.

    ``verify-full`` unless every host is this machine (a loopback address or a unix socket). Where no root certificate
    is named or stands where libpq looks for one, that is with the system's authorities, and for RDS with Amazon's.

    Raises:
        AuthoritiesMissing: They are not on this machine.
    """
    settings = resolved(parameters)
    named = settings.get("hostaddr") or settings.get("host") or ""
    if "sslmode" in settings or all(is_this_machine(host) for host in named.split(",")):
        return {}
    defaults = {"sslmode": "verify-full"}
    if "sslrootcert" not in settings and not users_root_certificate().exists():
        names = settings.get("host", "").split(",")
        defaults["sslrootcert"] = root_certificate(names[0]) if all(map(is_rds, names)) else SYSTEM
    return defaults
