"""Throttling, failures, lies and hang-ups on a real socket: no item is lost or read twice, and it ends."""

from __future__ import annotations

import dataclasses
import json
import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ashore.dynamodb.access import check_access
from ashore.dynamodb.budget import Backoff, ReadBudget
from ashore.dynamodb.errors import AccessDenied, CredentialsRefused, SourceError, Throttled, Unreachable
from ashore.dynamodb.scan import Connected, TableSource, pages_of
from ashore.dynamodb.transport import Transport
from ashore.local.scan_server import Faults, ScanServer, ServedTable, scan_server_process
from ashore.model.chunk import Chunk

ITEMS = 400


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")


def item(number: int) -> bytes:
    return json.dumps({"pk": {"S": f"case|{number}"}, "sk": {"N": str(number)}, "text": {"S": "x" * 900}}).encode()


def served(segments: int = 2, items: int = ITEMS) -> ServedTable:
    """A table of numbered items, 20 a page."""
    table = ServedTable("court", (("pk", "S"), ("sk", "N")))
    for segment in range(segments):
        numbers = range(segment, items, segments)
        table.add_segment([[item(number) for number in numbers[at : at + 20]] for at in range(0, len(numbers), 20)])
    return table


def source_of(endpoint_url: str, segments: int = 2) -> TableSource:
    return TableSource(table="court", region="us-east-1", endpoint_url=endpoint_url, segments=segments)


def read_all(source: TableSource, backoff: Backoff | None = None, budget: ReadBudget | None = None) -> list[Chunk]:
    backoff = backoff or Backoff(first=0.0001, give_up_after=30)
    connected = Connected(Transport(source.aws, backoff), budget or ReadBudget(None), backoff)
    return [chunk for unit in source.units() for chunk in pages_of(connected, source, unit, None)]


def numbers(chunks: list[Chunk]) -> list[int]:
    return sorted(int(json.loads(raw)["sk"]["N"]) for chunk in chunks for raw in chunk.items)


def test_prepared_pages_are_what_boto3_reads() -> None:
    with ScanServer(served()) as server:
        client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=server.endpoint_url)
        pages = client.get_paginator("scan").paginate(TableName="court", Segment=1, TotalSegments=2)
        whole = [found for page in pages for found in page["Items"]]
        limited = client.get_paginator("scan").paginate(
            TableName="court", Segment=1, TotalSegments=2, PaginationConfig={"PageSize": 7}
        )
        by_sevens = [found for page in limited for found in page["Items"]]

    assert [str(number) for number in range(1, ITEMS, 2)] == [found["sk"]["N"] for found in whole]
    assert whole == by_sevens


@pytest.mark.parametrize(
    "faults",
    [
        Faults(),
        Faults(throttle_every=3),
        Faults(fail_every=3),
        Faults(cut_every=3),
        Faults(corrupt_every=3),
        Faults(throttle_every=5, fail_every=7, cut_every=4, corrupt_every=3),
    ],
    ids=["none", "throttled", "failing", "cut", "corrupted", "all of them"],
)
def test_every_item_is_read_once_whatever_the_wire_does(faults: Faults) -> None:
    with ScanServer(served(), faults) as server:
        chunks = read_all(source_of(server.endpoint_url))

    assert list(range(ITEMS)) == numbers(chunks)
    assert (faults.throttle_every is not None) == any(chunk.throttled for chunk in chunks)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (Faults(throttle_every=1), Throttled),
        (Faults(fail_every=1), Unreachable),
        (Faults(cut_every=1), Unreachable),
        (Faults(corrupt_every=1), Unreachable),
    ],
    ids=["throttled", "failing", "cut", "corrupted"],
)
def test_trying_again_ends(faults: Faults, expected: type[SourceError]) -> None:
    seconds = [0.0]

    def sleep(duration: float) -> None:
        seconds[0] += duration

    backoff = Backoff(clock=lambda: seconds[0], sleep=sleep, give_up_after=60)
    with ScanServer(served(), faults) as server, pytest.raises(expected):
        read_all(source_of(server.endpoint_url), backoff)

    assert 60 <= seconds[0] <= 60 + backoff.longest


def test_server_that_is_not_there_is_unreachable() -> None:
    with ScanServer(served()) as server:
        gone = server.endpoint_url

    with pytest.raises(Unreachable, match="NewConnectionError"):
        read_all(source_of(gone), Backoff(first=0.001, give_up_after=0.01))


@pytest.mark.parametrize(
    ("kind", "expected", "scans"),
    [
        ("AccessDeniedException", AccessDenied, 1),
        ("UnrecognizedClientException", CredentialsRefused, 1),
        ("ExpiredTokenException", CredentialsRefused, 2),
    ],
)
def test_refusal_is_not_tried_again(kind: str, expected: type[SourceError], scans: int) -> None:
    with ScanServer(served(), Faults(refuse=kind)) as server:
        with pytest.raises(expected):
            read_all(source_of(server.endpoint_url))
        assert scans == server.scans


def test_missing_permission_is_a_problem_that_names_the_action() -> None:
    with ScanServer(served(), Faults(refuse="AccessDeniedException")) as server:
        (problem,) = check_access(source_of(server.endpoint_url))

    assert "dynamodb:Scan" in problem.what


def test_budget_is_held_by_the_clock_on_the_wall() -> None:
    with ScanServer(served(segments=1)) as server:
        source = source_of(server.endpoint_url, segments=1)
        began = time.monotonic()
        chunks = read_all(source, budget=ReadBudget(60))
        seconds = time.monotonic() - began

    consumed = sum(chunk.read_units for chunk in chunks)
    assert list(range(ITEMS)) == numbers(chunks)
    assert consumed - chunks[-1].read_units <= 60 * seconds


def test_small_budget_makes_small_pages() -> None:
    with ScanServer(served(segments=1)) as server:
        source = dataclasses.replace(
            source_of(server.endpoint_url, segments=1), read_units_per_second=4_000.0, workers=1_000
        )
        first = next(iter(source.read(source.units()[0], None)))

    assert 4 == len(first.items)


def test_position_outlives_the_process_that_stored_it() -> None:
    with ScanServer(served(segments=1)) as server:
        source = source_of(server.endpoint_url, segments=1)
        first = next(iter(source.read(source.units()[0], None)))
        rest = list(source.read(source.units()[0], json.loads(json.dumps(first.position))))

    assert list(range(ITEMS)) == numbers([first, *rest])


def test_number_of_segments_follows_size_and_workers() -> None:
    def segments(size_bytes: int, workers: int) -> int:
        table = served(segments=1, items=1)
        table.size_bytes = size_bytes
        with ScanServer(table) as server:
            source = source_of(server.endpoint_url)
            return len(dataclasses.replace(source, segments=None, workers=workers).units())

    assert [1, 4, 8, 1_000] == [
        segments(0, 1),
        segments(1_000, 4),
        segments(8 * 128 * 1024 * 1024, 2),
        segments(10**13, 2),
    ]


def test_server_in_its_own_process_serves_what_it_built_there() -> None:
    with scan_server_process(served, 2, 100) as endpoint_url:
        assert list(range(100)) == numbers(read_all(source_of(endpoint_url)))


@pytest.mark.parametrize("proxied", [True, False])
def test_proxy_of_the_environment_is_used_unless_left_out(monkeypatch: pytest.MonkeyPatch, proxied: bool) -> None:
    with ScanServer(served()) as server:
        nobody_there = server.endpoint_url
    monkeypatch.setenv("http_proxy", nobody_there)
    monkeypatch.setenv("no_proxy", "" if proxied else "127.0.0.1")
    with ScanServer(served()) as server:
        source = source_of(server.endpoint_url)
        backoff = Backoff(first=0.001, give_up_after=0.01)
        if proxied:
            with pytest.raises(Unreachable, match="ProxyError"):
                read_all(source, backoff)
        else:
            assert list(range(ITEMS)) == numbers(read_all(source, backoff))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody has signed but itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize("is_trusted", [True, False])
def test_server_whose_certificate_is_not_trusted_is_sent_nothing(
    monkeypatch: pytest.MonkeyPatch, certificate: Path, is_trusted: bool
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    if is_trusted:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with ScanServer(served(), tls=tls) as server:
        source = source_of(server.endpoint_url)
        if is_trusted:
            assert list(range(ITEMS)) == numbers(read_all(source))
        else:
            with pytest.raises(Unreachable, match="failed once with: its TLS certificate cannot be trusted"):
                read_all(source)
            assert 0 == server.scans
