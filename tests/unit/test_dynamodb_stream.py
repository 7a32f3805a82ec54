"""Answers of DynamoDB Streams as they stand on the wire, and what is made of them."""

from __future__ import annotations

import json
import pickle
from typing import Any

import msgspec
import pytest

from ashore.dynamodb import errors
from ashore.dynamodb.access import stream_permissions
from ashore.dynamodb.export import ExportSource
from ashore.dynamodb.faults import Request, error_of
from ashore.dynamodb.scan import TableSource
from ashore.dynamodb.settings import Aws
from ashore.dynamodb.stream import TableStream, changes_of, shards_of
from ashore.dynamodb.transport import Transport
from ashore.model.change import Change, Shard

INSERT = (
    b'{"Records":[{"eventID":"1","eventName":"INSERT","eventVersion":"1.1","eventSource":"aws:dynamodb",'
    b'"awsRegion":"eu-central-1","dynamodb":{"ApproximateCreationDateTime":1795530180,"Keys":{"pk":{"S":"a\\u0000"}},'
    b'"NewImage":{"n": {"N":"12345678901234567890123456789012345678"},"pk":{"S":"a\\u0000"}},'
    b'"OldImage":{"pk":{"S":"a\\u0000"}},"SequenceNumber":"4421584500000000017450439091","SizeBytes":51,'
    b'"StreamViewType":"NEW_AND_OLD_IMAGES"}}],"NextShardIterator":"arn|1|AAAA"}'
)


def record(name: str = "REMOVE", /, identity: Any = None, **image: Any) -> dict[str, Any]:
    about = {"Keys": {"pk": {"S": "a"}}, "SequenceNumber": "100000000000000000001", "ApproximateCreationDateTime": 5.0}
    found: dict[str, Any] = {"eventName": name, "dynamodb": about | image}
    return found if identity is None else found | {"userIdentity": identity}


def changes(*records: dict[str, Any]) -> list[Change]:
    return changes_of(json.dumps({"Records": records}).encode(), "court")[0]


def refused(kind: str, operation: str = "GetRecords") -> errors.SourceError:
    request = Request(operation=operation, table="court", shard="shardId-1", has_keys=True)
    return error_of(kind, "secret", request, endpoint="https://streams", request_id="R1")


def test_a_written_item_is_the_bytes_that_came() -> None:
    (change,), following = changes_of(INSERT, "court")

    assert "arn|1|AAAA" == following
    assert 4421584500000000017450439091 == change.sequence
    assert rb'{"pk":{"S":"a\u0000"}}' == change.key
    assert rb'{"n": {"N":"12345678901234567890123456789012345678"},"pk":{"S":"a\u0000"}}' == change.item
    assert (1795530180.0, False) == (change.at, change.is_expiry)
    assert isinstance(change.at, float)


def test_a_change_does_not_show_its_item() -> None:
    (change,), _ = changes_of(INSERT, "court")

    assert "12345678901234567890" not in repr(change)


def test_a_removal_has_no_item_whatever_its_old_image() -> None:
    (change,) = changes(record(OldImage={"pk": {"S": "a"}}))

    assert (None, b'{"pk": {"S": "a"}}', False) == (change.item, change.key, change.is_expiry)


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}, True),
        ({"principalId": "dynamodb.amazonaws.com", "type": "Service"}, True),
        ({"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service", "More": [1]}, True),
        ({"PrincipalId": "dynamodb.amazonaws.com", "Type": "User"}, False),
        ({"PrincipalId": "replication.dynamodb.amazonaws.com", "Type": "Service"}, False),
        ({"PrincipalId": None, "Type": None}, False),
        ({}, False),
        (None, False),
    ],
)
def test_only_the_service_itself_lets_items_expire(identity: Any, expected: bool) -> None:
    (change,) = changes(record("REMOVE", identity))

    assert expected is change.is_expiry


def test_a_write_in_the_name_of_the_service_is_no_expiry() -> None:
    identity = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}

    (change,) = changes(record("MODIFY", identity, NewImage={"pk": {"S": "a"}}))

    assert (b'{"pk": {"S": "a"}}', False) == (change.item, change.is_expiry)


@pytest.mark.parametrize("name", ["INSERT", "MODIFY"])
@pytest.mark.parametrize(
    "image", [{}, {"NewImage": None}, {"OldImage": {"pk": {"S": "a"}}}], ids=["none", "null", "old"]
)
def test_a_write_without_its_item_is_never_taken_for_a_removal(name: str, image: dict[str, Any]) -> None:
    with pytest.raises(errors.NoImages, match="court"):
        changes(record(name, **image))


def test_the_order_of_an_answer_is_kept() -> None:
    numbers = [10**21 + 9, 10**21 + 10, 10**21 + 11]

    actual = changes(*(record(SequenceNumber=str(number)) for number in numbers))

    assert numbers == [change.sequence for change in actual]


def test_fields_that_nobody_knows_yet_are_passed_over() -> None:
    found = record("INSERT", NewImage={}, Novelty={"deep": [1]}) | {"novelty": 1}

    (change,), following = changes_of(json.dumps({"Records": [found], "MillisBehindLatest": 3}).encode(), "court")

    assert (b"{}", None) == (change.item, following)


@pytest.mark.parametrize("body", [b'{"Records":[]}', b'{"Records":[],"NextShardIterator":null}', b"{}"])
def test_without_a_next_iterator_the_shard_has_ended(body: bytes) -> None:
    assert ([], None) == changes_of(body, "court")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        INSERT[:-40],
        INSERT.replace(b'"arn|1|AAAA"', b'"\xff"'),
        INSERT.replace(b'"SequenceNumber":"4421', b'"SequenceNumber":"x421'),
        INSERT.replace(b"SequenceNumber", b"Sequence"),
        INSERT.replace(b"Keys", b"Key"),
        INSERT.replace(b"1795530180", b'"yesterday"'),
        INSERT.replace(b"INSERT", b"TRUNCATE"),
    ],
)
def test_an_answer_of_another_form_is_refused(body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, ValueError)):
        changes_of(body, "court")


def test_shards_tell_their_parent_and_whether_they_are_closed() -> None:
    shards, last = shards_of(
        b'{"StreamDescription":{"StreamStatus":"ENABLED","StreamArn":"arn","Shards":['
        b'{"ShardId":"s-1","SequenceNumberRange":{"StartingSequenceNumber":"000000000000000000009",'
        b'"EndingSequenceNumber":"000000000000000000010"}},'
        b'{"ShardId":"s-2","ParentShardId":"s-1","SequenceNumberRange":{"StartingSequenceNumber":"11"}},'
        b'{"ShardId":"s-3","SequenceNumberRange":{}}],"LastEvaluatedShardId":"s-3"}}'
    )

    expected = [
        Shard(id="s-1", parent=None, first=9, last=10),
        Shard(id="s-2", parent="s-1", first=11, last=None),
        Shard(id="s-3", parent=None, first=None, last=None),
    ]
    assert (expected, "s-3") == (shards, last)
    assert [True, False, False] == [shard.is_closed for shard in shards]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("TrimmedDataAccessException", errors.Trimmed("shardId-1")),
        ("ResourceNotFoundException", errors.ShardGone("shardId-1")),
        ("ExpiredIteratorException", errors.IteratorExpired()),
        ("AccessDeniedException", errors.AccessDenied("dynamodb:GetRecords", "table court")),
        ("ValidationException", errors.RequestRefused("GetRecords", "court", "ValidationException", "R1")),
    ],
)
def test_refusals_of_a_shard_are_told_apart(kind: str, expected: errors.SourceError) -> None:
    actual = refused(kind)

    assert (type(expected), vars(expected)) == (type(actual), vars(actual))
    assert "secret" not in str(actual)


@pytest.mark.parametrize(
    "error", [errors.Trimmed("s"), errors.ShardGone("s"), errors.IteratorExpired(), errors.NoImages("court")]
)
def test_errors_of_a_stream_cross_processes(error: errors.SourceError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert (type(error), str(error)) == (type(copy), str(copy))


def test_a_stream_is_a_small_value() -> None:
    stream = TableStream(table="court", region="eu-central-1")

    assert stream == pickle.loads(pickle.dumps(stream))
    assert len(pickle.dumps(stream)) < 200


@pytest.mark.parametrize(
    ("aws", "expected"),
    [
        (Aws(region="eu-central-1"), "https://streams.dynamodb.eu-central-1.amazonaws.com"),
        (Aws(region="cn-north-1"), "https://streams.dynamodb.cn-north-1.amazonaws.com.cn"),
        (Aws(region="eu-central-1", endpoint_url="http://127.0.0.1:8000"), "http://127.0.0.1:8000"),
    ],
)
def test_a_stream_is_read_at_its_own_endpoint(aws: Aws, expected: str) -> None:
    assert expected == Transport(aws, of_streams=True).endpoint


def test_reading_a_stream_needs_no_more_than_that() -> None:
    (statement,) = stream_permissions(TableSource(table="court", region="eu-central-1"))

    assert "arn:aws:dynamodb:eu-central-1:*:table/court/stream/*" == statement["Resource"]
    assert ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"] == statement["Action"]
    assert [] == stream_permissions(ExportSource(path="/somewhere"))
