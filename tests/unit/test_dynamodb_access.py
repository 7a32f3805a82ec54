"""Least policies, typed errors, prices: pure functions of ashore.dynamodb."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import pytest

from ashore.dynamodb import errors
from ashore.dynamodb.access import assess_permissions, check_access, required_permissions
from ashore.dynamodb.export import ExportSource
from ashore.dynamodb.faults import Request, error_of, kind_of
from ashore.dynamodb.scan import TableSource
from ashore.dynamodb.table import KeyAttribute, TableInfo
from ashore.errors import AshoreError

TABLE = TableInfo(
    name="efcms",
    arn="arn:aws:dynamodb:us-east-1:1:table/efcms",
    table_id="x",
    key=(KeyAttribute("pk", "S"),),
    items=2_000_000,
    bytes=4_096_000_001,
    provisioned_read_units=None,
    indexes=(),
    stream=None,
    ttl_attribute=None,
    point_in_time_recovery=None,
)


def refused(kind: str, message: str = "", *, has_keys: bool = False) -> errors.SourceError:
    request = Request(operation="Scan", table="efcms", has_keys=has_keys)
    return error_of(kind, message, request, endpoint="https://dynamodb", request_id="R1")


def test_scan_on_demand_costs_its_read_units() -> None:
    estimate = TABLE.estimate()

    assert 1_000_001 == estimate.read_units
    assert pytest.approx(0.125, rel=1e-5) == estimate.dollars
    assert "every six hours" in estimate.note


def test_eventually_consistent_scan_costs_half() -> None:
    assert 500_000.5 == TABLE.estimate(consistent=False).read_units


def test_provisioned_table_pays_by_its_capacity() -> None:
    estimate = dataclasses.replace(TABLE, provisioned_read_units=100).estimate()

    assert 0.0 == estimate.dollars
    assert "capacity of 100 read units" in estimate.note


def test_table_needs_no_more_than_reading_it() -> None:
    (statement,) = required_permissions(TableSource(table="efcms", region="cn-north-1"))

    assert "arn:aws-cn:dynamodb:cn-north-1:*:table/efcms" == statement["Resource"]
    assert {
        "dynamodb:BatchGetItem",
        "dynamodb:DescribeContinuousBackups",
        "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive",
        "dynamodb:Scan",
    } == set(statement["Action"])


def test_export_in_a_bucket_needs_its_prefix_only() -> None:
    listing, reading = required_permissions(ExportSource(path="s3://backups/2025/jan/"))

    assert ("arn:aws:s3:::backups", ["s3:ListBucket"]) == (listing["Resource"], listing["Action"])
    assert {"StringLike": {"s3:prefix": ["2025/jan/*"]}} == listing["Condition"]
    assert ("arn:aws:s3:::backups/2025/jan/*", ["s3:GetObject"]) == (reading["Resource"], reading["Action"])


def test_export_in_a_folder_needs_nothing() -> None:
    assert [] == required_permissions(ExportSource(path="/somewhere"))


def test_missing_export_is_a_problem_not_an_exception() -> None:
    (problem,) = check_access(ExportSource(path="/nowhere/at/all"))

    assert "export /nowhere/at/all" == problem.where


def test_denied_request_names_the_action_the_resource_and_who_asked() -> None:
    message = (
        "User: arn:aws:iam::1:user/ann is not authorized to perform: dynamodb:Scan"
        " on resource: arn:aws:dynamodb:us-east-1:1:table/efcms because no identity-based policy allows it"
    )

    assert (
        errors.AccessDenied(
            "dynamodb:Scan", "arn:aws:dynamodb:us-east-1:1:table/efcms", "arn:aws:iam::1:user/ann"
        ).__dict__
        == refused("AccessDeniedException", message).__dict__
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ResourceNotFoundException", errors.TableNotFound),
        ("ExpiredTokenException", errors.CredentialsRefused),
        ("UnrecognizedClientException", errors.CredentialsRefused),
        ("ValidationException", errors.RequestRefused),
    ],
)
def test_kinds_of_error_are_told_apart(kind: str, expected: type[AshoreError]) -> None:
    assert expected is type(refused(kind))


def test_message_that_may_quote_a_key_is_not_kept() -> None:
    assert "secret" in str(refused("ValidationException", "bad: secret"))
    assert "secret" not in str(refused("ValidationException", "bad: secret", has_keys=True))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException"}, "ThrottlingException"),
        ({"__type": "com.amazon.coral.service#ExpiredTokenException"}, "ExpiredTokenException"),
        ({"__type": "Plain"}, "Plain"),
        ({}, "HTTP 503"),
        ("<html>", "HTTP 503"),
    ],
)
def test_kind_is_the_type_without_its_name_space(body: Any, expected: str) -> None:
    assert expected == kind_of(json.dumps(body).encode(), 503)


@pytest.mark.parametrize(
    "error",
    [
        errors.ExportDamaged("/x", "data/y", "is missing", 3),
        errors.AccessDenied("dynamodb:Scan", "x"),
        errors.Throttled("Scan", "t", 3, 1.5),
        errors.SeveralExports("/x", ("a", "b")),
    ],
)
def test_errors_cross_processes(error: errors.SourceError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert (type(error), str(error)) == (type(copy), str(copy))


def test_codes_of_errors_are_unique() -> None:
    found = [
        value.code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.SourceError)
    ]

    assert len(found) == len(set(found))


def test_assessment_asks_for_no_more_than_to_read_and_to_look_around() -> None:
    table, around = assess_permissions(TableSource(table="court", region="eu-central-1"))

    assert "arn:aws:dynamodb:eu-central-1:*:table/court" == table["Resource"]
    assert all(action.partition(":")[2].startswith(("Describe", "Scan")) for action in table["Action"])
    assert ["cloudwatch:GetMetricData", "lambda:ListEventSourceMappings"] == around["Action"]
