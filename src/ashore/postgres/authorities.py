"""The certificate authorities of RDS: Amazon's own, which no system trusts by itself."""

from __future__ import annotations

import os
import re
import ssl
import tempfile
import urllib.request
from pathlib import Path
from typing import Final

from ashore.postgres.endpoints import is_proxy
from ashore.postgres.iam_errors import AuthoritiesMissing, BundleNotFetched

BUNDLE_URL: Final = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
"""Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html"""

SYSTEM: Final = "system"
FETCH_SECONDS: Final = 20.0
_certificate: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def kept_bundle() -> Path:
    """Where `fetch_bundle` keeps the bundle: in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "ashore" / "rds-global-bundle.pem"


def users_root_certificate() -> Path:
    """Where libpq looks by itself.

    Source: https://www.postgresql.org/docs/current/libpq-ssl.html#LIBQ-SSL-CERTIFICATES
    """
    return Path.home() / ".postgresql" / "root.crt"


def root_certificate(host: str) -> str:
    """What to verify this endpoint with, where the address names nothing: a file, or `system` for RDS Proxy.

    Looked for where libpq does (``~/.postgresql/root.crt``), then where `fetch_bundle` keeps the bundle. Never fetched.

    Raises:
        AuthoritiesMissing: There is none.
    """
    if is_proxy(host):
        return SYSTEM
    places = (users_root_certificate(), kept_bundle())
    for place in places:
        if place.exists():
            return str(place)
    raise AuthoritiesMissing(looked_in=tuple(str(place) for place in places))


def fetch_bundle(url: str = BUNDLE_URL) -> Path:
    """Fetch Amazon's bundle into the user's cache, whole or not at all, and return where it is; called again, renew it.

    Raises:
        BundleNotFetched: It cannot be reached, or what comes is no bundle of certificates.
    """
    try:
        with urllib.request.urlopen(url, timeout=FETCH_SECONDS) as answer:  # noqa: S310 (the address is a constant)
            text = answer.read().decode("ascii")
        if not _certificate.search(text):
            raise BundleNotFetched(url=url, reason="there is no certificate in it")
        ssl.create_default_context(cadata=text)
    except (OSError, UnicodeDecodeError) as error:
        raise BundleNotFetched(url=url, reason=str(error)) from None
    place = kept_bundle()
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=place.parent, encoding="ascii", delete=False) as new:
        new.write(text)
    Path(new.name).replace(place)
    return place
