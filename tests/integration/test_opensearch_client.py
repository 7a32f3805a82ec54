"""Who asks OpenSearch, over which connection, and what is not told of it."""

from __future__ import annotations

import logging
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from tests.search_server import SearchServer

from ashore.config.secret import Secret
from ashore.config.settings import Aws, Search
from ashore.local.rds.certificates import new_authority
from ashore.opensearch.actions import Action, Conflict, Done, Later, Refused
from ashore.opensearch.client import open_client
from ashore.opensearch.errors import SearchForbidden, SearchNotConfigured, SearchUnreachable
from ashore.opensearch.index import SearchIndex

AWS = Aws(region="eu-west-1", profile=None, endpoint_url=None)


def index_of(url: str, aws: Aws = AWS, **settings: Any) -> SearchIndex:
    said = {"is_signed": False, "login_env": None, "login": None, "ca_file": None, **settings}
    client = open_client(Search(endpoint=url, **said), aws, request_seconds=5)
    return SearchIndex(client=client, endpoint=url, most_bytes=1_000)


def put(one: str, version: int, source: bytes | None = b"{}", index: str = "things") -> Action:
    return Action(index=index, id=one, version=version, source=source)


def always() -> bool:
    return True


def context(folder: Path, host: str) -> tuple[ssl.SSLContext, Path]:
    authority = new_authority(folder)
    return authority.tls_context(host, folder), authority.file


def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    tls, _ = context(tmp_path, "localhost")
    with SearchServer(context=tls) as server, pytest.raises(SearchUnreachable, match="SSLError"):
        index_of(server.url).is_there("things")


def test_a_certificate_of_a_known_authority_for_another_host_is_refused(tmp_path: Path) -> None:
    tls, file = context(tmp_path, "elsewhere.example.com")
    with SearchServer(context=tls) as server, pytest.raises(SearchUnreachable, match="SSLError"):
        index_of(server.url, ca_file=file).is_there("things")


def test_a_certificate_of_a_known_authority_for_this_host_is_taken(tmp_path: Path) -> None:
    tls, file = context(tmp_path, "localhost")
    with SearchServer(context=tls) as server:
        server.create("things")
        assert index_of(server.url, ca_file=file).is_there("things")


def test_requests_are_signed_as_botocore_signs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    with SearchServer() as server:
        server.create("things")
        assert [Done()] == index_of(server.url, is_signed=True).write([put("a", 1, b'{"text":"\xc3\xa9"}')], always)
        [(method, path, headers, body)] = server.requests
    scheme, _, rest = headers["Authorization"].partition(" ")
    parts = dict(part.split("=", 1) for part in rest.split(", "))
    signed = {name: headers[_spelled(headers, name)] for name in parts["SignedHeaders"].split(";")}
    request = AWSRequest(method=method, url=server.url + path, data=body, headers=signed)
    request.context["timestamp"] = headers[_spelled(headers, "x-amz-date")]
    key = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI", "a-token")
    auth = SigV4Auth(key, "es", "eu-west-1")
    expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert ("AWS4-HMAC-SHA256", expected) == (scheme, parts["Signature"])
    assert parts["Credential"].endswith("/eu-west-1/es/aws4_request")
    assert {"host", "x-amz-date", "x-amz-security-token"} <= signed.keys()


def _spelled(headers: dict[str, str], name: str) -> str:
    return next(one for one in headers if one.lower() == name)


def test_what_is_not_configured_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SearchNotConfigured, match="nothing says where"):
        open_client(None, AWS)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(SearchNotConfigured, match="no AWS region"):
        index_of("https://localhost", Aws(region=None, profile=None, endpoint_url=None), is_signed=True)
    with pytest.raises(SearchNotConfigured, match="SEARCH_LOGIN"):
        index_of("https://localhost", login_env="SEARCH_LOGIN")


def test_a_login_is_sent_and_a_wrong_one_refused() -> None:
    with SearchServer(login="ashore:with:colons") as server:
        server.create("things")
        right = index_of(server.url, login_env="L", login=Secret("ashore:with:colons"))
        assert [Done()] == right.write([put("a", 1)], always)
        wrong = index_of(server.url, login_env="L", login=Secret("ashore:other"))
        with pytest.raises(SearchForbidden):
            wrong.write([put("a", 2)], always)
        with pytest.raises(SearchForbidden):
            wrong.versions([("things", "a")])


def test_nobody_who_listens_is_unreachable_and_a_write_is_for_later() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://localhost:{free.getsockname()[1]}"
    later = Later("ConnectionError (NewConnectionError)")
    assert [later, later] == index_of(url).write([put("a", 1), put("b", 1)], always)
    with pytest.raises(SearchUnreachable):
        index_of(url).is_there("things")


def test_each_action_has_its_own_outcome_in_order() -> None:
    with SearchServer() as server:
        server.create("things", size="long")
        index = index_of(server.url)
        assert [Done(), Done()] == index.write([put("a", 5), put("gone", 5, None)], always)
        expected = [Conflict(), Refused("400 mapper_parsing_exception (field size)"), Done(), Done(), Conflict()]
        actions = [put("a", 5), put("b", 5, b'{"size":"secret"}'), put("c", 5), put("a", 6, None), put("gone", 4)]
        assert expected == index.write(actions, always)
        assert {("things", "c"): 5} == index.versions([("things", "a"), ("things", "c"), ("things", "never")])
        assert index.gc_deletes_seconds("things") == 60.0


def test_large_documents_go_in_requests_of_their_own_until_no_time_is_left() -> None:
    with SearchServer() as server:
        server.create("things")
        source = b'{"text":"' + b"x" * 600 + b'"}'
        actions = [put(one, 1, source) for one in "abc"]
        index = index_of(server.url)
        assert [Done()] * 3 == index.write(actions, always)
        assert server.bulk_requests == 3
        answers = iter([True, False])
        found = index.write([put(one, 2, source) for one in "abc"], lambda: next(answers))
        assert [Done(), Later("no time was left"), Later("no time was left")] == found


@pytest.mark.parametrize("fault", ["429", "reset after", "some items 429"])
def test_nothing_of_a_document_is_logged(caplog: pytest.LogCaptureFixture, fault: Any) -> None:
    caplog.set_level(logging.DEBUG)
    with SearchServer() as server:
        server.create("things", size="long")
        server.faults = [fault]
        index = index_of(server.url, login_env="L", login=Secret("ashore:hunter2"))
        for _ in range(2):
            index.write([put("a", 1, b'{"size":"secret-value"}'), put("b", 1, b'{"size":"secret-value"}')], always)
    assert "secret-value" not in caplog.text
    assert "hunter2" not in caplog.text
