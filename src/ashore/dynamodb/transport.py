"""DynamoDB's wire: signed by botocore, sent by urllib3, checked, tried again. Answers are bytes, not parsed here.

boto3's own parser reads 5,800 items of 1.2 KB a second; this path read 300,000 from a server of prepared pages.
"""

from __future__ import annotations

import ssl
import threading
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.httpsession import get_cert_path
from botocore.session import Session
from botocore.utils import get_environ_proxies
from isal import isal_zlib

from ashore.dynamodb.budget import Backoff
from ashore.dynamodb.errors import CredentialsRefused, SourceError, Throttled, Unreachable
from ashore.dynamodb.faults import Request, error_of, kind_of, message_of, passing, stale_credentials, throttling
from ashore.dynamodb.settings import Aws, dynamodb_client, streams_client

api = "DynamoDB_20120810"
streams_api = "DynamoDBStreams_20120810"
content_type = "application/x-amz-json-1.0"
passing_statuses: Final = frozenset({408, 429, *range(500, 600)})
time_out = urllib3.Timeout(connect=5.0, read=30.0)
"""Seconds to connect, and between two pieces of an answer. A Scan of one page takes well under a second."""
most_connections: Final = 32
"""Kept open by a process to one endpoint; as many as there are threads that read shards."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a good answer, and how often the request was throttled before it."""

    body: bytes
    throttled: int


@dataclass(frozen=True, slots=True)
class _Failure:
    """One try that may be worth another."""

    reason: str
    is_throttling: bool
    error: SourceError | None = None


class Transport:
    """Calls DynamoDB over kept-alive connections; safe to share between the threads of one process.

    Guarantees:
        - TLS certificates are verified in full (against `AWS_CA_BUNDLE` where that is set).
        - A body is handed out only if it is as long as announced and matches ``x-amz-crc32``.
        - A request ends with its answer or with a `SourceError`, at most `backoff.give_up_after` seconds and one
          time-out after its first failure.
    """

    def __init__(
        self,
        aws: Aws,
        backoff: Backoff | None = None,
        *,
        of_streams: bool = False,
        time_out: urllib3.Timeout = time_out,
    ) -> None:
        client = streams_client(aws) if of_streams else dynamodb_client(aws)
        self._api = streams_api if of_streams else api
        self.endpoint = client.meta.endpoint_url
        self.region = client.meta.region_name
        self._backoff = backoff or Backoff()
        self._lock = threading.Lock()
        self.throttled: Counter[str] = Counter()
        """How often each operation was throttled so far."""
        self._time_out = time_out
        session = Session(profile=aws.profile)
        try:
            self._credentials = session.get_credentials()
            self._pool = _pool(self.endpoint, session.get_config_variable("ca_bundle"))
        except BotoCoreError as error:
            raise CredentialsRefused(str(error)) from error

    def call(self, request: Request, body: bytes) -> Answer:
        """Send one request until it is answered.

        Raises:
            Throttled, Unreachable: It was not answered in time, or the server's certificate is not to be trusted.
            AccessDenied, TableNotFound, CredentialsRefused, RequestRefused: Trying again is of no use.
        """
        failures = throttled = renewed = 0
        began = self._backoff.clock()
        while True:
            result = self._try(request, body)
            if isinstance(result, bytes):
                return Answer(result, throttled)
            if result.error is not None:
                if result.reason not in stale_credentials or renewed:
                    raise result.error
                renewed += 1
                continue
            if result.is_throttling:
                throttled += 1
                with self._lock:
                    self.throttled[request.operation] += 1
            if failures == 0:
                began = self._backoff.clock()
            failures += 1
            seconds = self._backoff.clock() - began
            if seconds >= self._backoff.give_up_after:
                if result.is_throttling:
                    raise Throttled(request.operation, request.table, throttled, seconds)
                raise self._unreachable(request, failures, result.reason)
            self._backoff.pause(failures)

    def _unreachable(self, request: Request, failures: int, reason: str) -> Unreachable:
        return Unreachable(request.operation, self.endpoint, failures, reason)

    def _try(self, request: Request, body: bytes) -> bytes | _Failure:
        headers = self._signed(request.operation, body)
        try:
            answer = self._pool.request(
                "POST",
                self.endpoint.rstrip("/") + "/",
                body=body,
                headers=headers,
                decode_content=False,
                retries=False,
                redirect=False,
                timeout=self._time_out,
            )
        except urllib3.exceptions.SSLError as error:
            if isinstance(error.args[0], ssl.SSLCertVerificationError):
                reason = f"its TLS certificate cannot be trusted ({error.args[0].verify_message})"
                return _Failure(reason, is_throttling=False, error=self._unreachable(request, 1, reason))
            return _Failure(type(error).__name__, is_throttling=False)
        except urllib3.exceptions.HTTPError as error:
            return _Failure(type(error).__name__, is_throttling=False)
        content = answer.data
        checksum = answer.headers.get("x-amz-crc32")
        if checksum is not None and checksum.strip() != str(isal_zlib.crc32(content)):
            return _Failure("the answer does not match its checksum", is_throttling=False)
        if answer.status == HTTPStatus.OK:
            return content
        kind = kind_of(content, answer.status)
        if kind in throttling:
            return _Failure(kind, is_throttling=True)
        if answer.status in passing_statuses or kind in passing:
            return _Failure(kind, is_throttling=False)
        refused = error_of(
            kind,
            message_of(content),
            request,
            endpoint=self.endpoint,
            request_id=answer.headers.get("x-amzn-requestid"),
        )
        return _Failure(kind, is_throttling=False, error=refused)

    def _signed(self, operation: str, body: bytes) -> dict[str, str]:
        if self._credentials is None:
            raise CredentialsRefused("none were found")
        try:
            frozen = self._credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise CredentialsRefused(str(error)) from error
        request = AWSRequest(
            method="POST",
            url=self.endpoint.rstrip("/") + "/",
            data=body,
            headers={"X-Amz-Target": f"{self._api}.{operation}", "Content-Type": content_type},
        )
        if frozen.access_key is None or frozen.secret_key is None:
            raise CredentialsRefused("they lack a key")
        credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        SigV4Auth(credentials, "dynamodb", self.region).add_auth(request)
        return {**dict(request.headers.items()), "Accept-Encoding": "identity"}


def _pool(endpoint: str, ca_bundle: str | None) -> urllib3.PoolManager:
    certificates = ca_bundle or get_cert_path(True)
    proxy = get_environ_proxies(endpoint).get(endpoint.partition("://")[0])
    if proxy:
        return urllib3.ProxyManager(proxy, ca_certs=certificates, cert_reqs="CERT_REQUIRED", maxsize=most_connections)
    return urllib3.PoolManager(ca_certs=certificates, cert_reqs="CERT_REQUIRED", maxsize=most_connections)
