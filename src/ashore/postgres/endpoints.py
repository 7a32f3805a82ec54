"""What the host names of RDS say."""

from __future__ import annotations

import re
from typing import Final

_regional: Final = re.compile(
    r"[^.]+\.(?P<kind>cluster-ro-|cluster-custom-|cluster-|proxy-)?[a-z0-9]+"
    r"\.(?:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\.rds|rds\.(?P<china>cn-[a-z]+-\d))\.amazonaws\.com(?:\.cn)?",
    re.IGNORECASE,
)
_proxy: Final = re.compile(r"(?:[^.]+\.)+proxy-[a-z0-9]+\.[a-z0-9-]+\.rds\.amazonaws\.com(?:\.cn)?", re.IGNORECASE)
_named_proxy: Final = re.compile(
    r"[^.]+\.endpoint\.proxy-[a-z0-9]+\.(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\.rds\.amazonaws\.com(?:\.cn)?",
    re.IGNORECASE,
)
_global: Final = re.compile(r"(?P<name>[^.]+)\.global-[a-z0-9]+\.global\.rds\.amazonaws\.com(?:\.cn)?", re.IGNORECASE)


def region_of(host: str) -> str | None:
    """The region in an endpoint's name; None for a name of one's own, an address, or a global database.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Overview.Endpoints.html
    """
    found = _regional.fullmatch(host) or _named_proxy.fullmatch(host)
    if found is None:
        return None
    parts = found.groupdict()
    region = parts.get("region") or parts.get("china")
    return region.lower() if region else None


def global_cluster_of(host: str) -> str | None:
    """The identifier of the global cluster whose writer endpoint this is; None for any other name.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-connecting.html
    """
    found = _global.fullmatch(host)
    return found["name"].lower() if found else None


def is_proxy(host: str) -> bool:
    """Whether this is an endpoint of RDS Proxy, whose certificates are of public authorities.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.howitworks.html#rds-proxy-security
    """
    return _proxy.fullmatch(host) is not None


def is_rds(host: str) -> bool:
    """Whether this is the name of an endpoint of RDS or Aurora."""
    return region_of(host) is not None or global_cluster_of(host) is not None
