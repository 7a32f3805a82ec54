"""A table's stream, from a server that says what no emulator can be brought to say."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.stream_answers import StreamAnswers, refusal

from ashore.dynamodb.errors import ShardGone, SourceError, Trimmed, Unreachable
from ashore.dynamodb.stream import TableStream
from ashore.model.change import TRIM_HORIZON, Start


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")


def prepared(server: StreamAnswers) -> TableStream:
    return TableStream(table="court", region="us-east-1", endpoint_url=server.endpoint_url)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("TrimmedDataAccessException", Trimmed("shardId-1")),
        ("ResourceNotFoundException", ShardGone("shardId-1")),
    ],
)
def test_what_is_gone_is_named_by_its_shard(kind: str, expected: SourceError) -> None:
    with StreamAnswers(
        {"GetShardIterator": [{"ShardIterator": "x"}, refusal(kind)], "GetRecords": [refusal(kind)]}
    ) as server:
        stream = prepared(server)
        iterator = stream.iterator("arn", "shardId-1", TRIM_HORIZON)
        with pytest.raises(type(expected)) as at_reading:
            stream.read(iterator)
        with pytest.raises(type(expected)) as at_once:
            stream.iterator("arn", "shardId-1", Start("AFTER_SEQUENCE_NUMBER", 5))

    assert str(expected) == str(at_reading.value) == str(at_once.value)


def test_a_limit_that_was_exceeded_is_waited_for() -> None:
    limited = refusal("LimitExceededException")
    with StreamAnswers({"GetRecords": [limited, limited, {"Records": []}]}) as server:
        page = prepared(server).read("shardId-1\nx")

    assert (0, None, 3) == (len(page.changes), page.next, len(server.requests))


@pytest.mark.parametrize("operation", ["DescribeStream", "GetShardIterator", "GetRecords"])
@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"[]",
        {"Records": [{}], "StreamDescription": {"Shards": [{}]}},
        {
            "Records": [
                {
                    "eventName": "REMOVE",
                    "dynamodb": {"SequenceNumber": "x", "Keys": {}, "ApproximateCreationDateTime": 1},
                }
            ],
            "StreamDescription": {"Shards": [{"ShardId": "s", "SequenceNumberRange": {"StartingSequenceNumber": "x"}}]},
        },
    ],
    ids=["not json", "another form", "fields lacking", "not a number"],
)
def test_an_answer_of_another_form_is_unreachable(operation: str, answer: Any) -> None:
    with StreamAnswers({operation: [answer]}) as server:
        stream = prepared(server)
        calls: dict[str, Callable[[], object]] = {
            "DescribeStream": lambda: list(stream.shards("arn")),
            "GetShardIterator": lambda: stream.iterator("arn", "s", TRIM_HORIZON),
            "GetRecords": lambda: stream.read("s\nx"),
        }
        with pytest.raises(Unreachable, match=f"{operation} .*another form"):
            calls[operation]()


def test_a_long_list_of_shards_comes_page_by_page_at_most_five_a_second() -> None:
    pages = [
        {
            "StreamDescription": {
                "Shards": [{"ShardId": f"s-{number}", "ParentShardId": f"s-{number - 1}", "SequenceNumberRange": {}}],
                **({"LastEvaluatedShardId": f"s-{number}"} if number < 5 else {}),
            }
        }
        for number in range(6)
    ]
    with StreamAnswers({"DescribeStream": pages}) as server:
        began = time.monotonic()
        found = [[shard.id for shard in page] for page in prepared(server).shards("arn")]
        seconds = time.monotonic() - began

    assert [[f"s-{number}"] for number in range(6)] == found
    assert [None, *(f"s-{number}" for number in range(5))] == [
        body.get("ExclusiveStartShardId") for _, body in server.requests
    ]
    assert 5 / 5.0 <= seconds + 0.01


def test_a_list_of_shards_that_breaks_off_keeps_the_pages_before() -> None:
    first = {"StreamDescription": {"Shards": [{"ShardId": "s-1"}], "LastEvaluatedShardId": "s-1"}}
    with StreamAnswers({"DescribeStream": [first, refusal("AccessDeniedException")]}) as server:
        pages = prepared(server).shards("arn")
        kept = next(pages)
        with pytest.raises(SourceError, match="dynamodb:DescribeStream"):
            next(pages)

    assert ["s-1"] == [shard.id for shard in kept]


def test_requests_are_signed_for_dynamodb_and_addressed_to_its_streams() -> None:
    with StreamAnswers({"GetShardIterator": [{"ShardIterator": "x"}]}) as server:
        prepared(server).iterator("arn", "s", Start("AT_SEQUENCE_NUMBER", 7))

    ((headers, body),) = server.requests
    assert "DynamoDBStreams_20120810.GetShardIterator" == headers["x-amz-target"]
    assert "/us-east-1/dynamodb/aws4_request" in headers["authorization"]
    assert {
        "StreamArn": "arn",
        "ShardId": "s",
        "ShardIteratorType": "AT_SEQUENCE_NUMBER",
        "SequenceNumber": "000000000000000000007",
    } == body
