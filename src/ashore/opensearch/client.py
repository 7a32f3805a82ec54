"""The client of OpenSearch: who asks, how long a request may take, and what is not logged.

It tries nothing again by itself. A request that failed may have been carried out: only the feeder knows that its
entries will be read anew.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from ashore.config.settings import Aws, Search
from ashore.opensearch.errors import SearchNotConfigured

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

REQUEST_SECONDS: Final = 20.0
_SERVICE: Final = "es"
_talkative: Final = ("opensearch", "opensearchpy.trace", "botocore.auth")
"""Loggers that print documents, and what is signed together with the session's token; failures are told as errors."""


def open_client(search: Search | None, aws: Aws, *, request_seconds: float = REQUEST_SECONDS) -> OpenSearch:
    """A client; nothing is asked yet. TLS is verified in full, host name included.

    Raises:
        SearchNotConfigured: There is no address, no library, no login or no credentials.
    """
    if search is None:
        way = "set opensearch in ashore.toml, or ASHORE_OPENSEARCH, to its address"
        raise SearchNotConfigured(missing="nothing says where it is", way=way)
    try:
        from opensearchpy import OpenSearch, Urllib3HttpConnection  # noqa: PLC0415 (an optional dependency)
    except ModuleNotFoundError:
        way = "pip install 'ashore[search]'"
        raise SearchNotConfigured(missing="opensearch-py is not installed", way=way) from None
    for name in _talkative:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    options: dict[str, Any] = {"http_auth": _auth(search, aws)}
    if search.endpoint.startswith("https://"):
        options |= {"use_ssl": True, "verify_certs": True}  # and the host name, where nothing else is said
        if search.ca_file is not None:
            options["ca_certs"] = str(search.ca_file)
    return OpenSearch(
        hosts=[search.endpoint],
        connection_class=Urllib3HttpConnection,
        timeout=request_seconds,
        max_retries=0,
        retry_on_timeout=False,
        **options,
    )


def _auth(search: Search, aws: Aws) -> Any:
    if search.login_env is not None:
        if search.login is None:
            missing = f"the environment variable {search.login_env} is not set"
            raise SearchNotConfigured(missing=missing, way="set it to user:password")
        user, _, password = search.login.reveal().partition(":")
        return user, password
    if not search.is_signed:
        return None
    import boto3  # noqa: PLC0415 (only where requests are signed)
    from opensearchpy import Urllib3AWSV4SignerAuth  # noqa: PLC0415 (an optional dependency)

    session = boto3.Session(profile_name=aws.profile, region_name=aws.region)
    credentials = session.get_credentials()
    region: str | None = session.region_name
    if credentials is None or not region:
        missing = "there are no AWS credentials" if credentials is None else "no AWS region is set"
        raise SearchNotConfigured(missing=missing, way="give them as boto3 finds them, or leave opensearch_iam out")
    return Urllib3AWSV4SignerAuth(credentials, region, _SERVICE)
