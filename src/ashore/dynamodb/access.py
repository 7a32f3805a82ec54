"""What a source needs to be allowed, and whether it is."""

from __future__ import annotations

from typing import Any, assert_never

from botocore.session import Session

from ashore.dynamodb.errors import SourceError
from ashore.dynamodb.export import ExportSource
from ashore.dynamodb.scan import TableSource
from ashore.errors import Problem
from ashore.model.marker import PREFIX

Source = TableSource | ExportSource


def required_permissions(source: Source) -> list[dict[str, Any]]:
    """The statements of the least IAM policy that lets `source` be read; asks nobody.

    Empty for an export in a folder. A bucket encrypted with a KMS key of one's own also needs kms:Decrypt on it.
    """
    match source:
        case TableSource():
            return [
                {
                    "Sid": "AshoreReadTable",
                    "Effect": "Allow",
                    "Action": [
                        "dynamodb:BatchGetItem",
                        "dynamodb:DescribeContinuousBackups",
                        "dynamodb:DescribeTable",
                        "dynamodb:DescribeTimeToLive",
                        "dynamodb:Scan",
                    ],
                    "Resource": _table_arn(source),
                }
            ]
        case ExportSource():
            return _bucket_permissions(source)
        case _:
            assert_never(source)


def stream_permissions(source: Source) -> list[dict[str, Any]]:
    """The statements of the least IAM policy, beside `required_permissions`, that lets a table's stream be read.

    Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
    """
    if not isinstance(source, TableSource):
        return []
    actions = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
    return [
        {
            "Sid": "AshoreReadStream",
            "Effect": "Allow",
            "Action": actions,
            "Resource": f"{_table_arn(source)}/stream/*",
        }
    ]


def marker_permissions(source: Source) -> list[dict[str, Any]]:
    """The statement that lets markers be written to a table and removed, and no other item.

    The condition speaks of every partition key of a request; without the second one it would hold as well for a
    request that names none.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html and
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    if not isinstance(source, TableSource):
        return []
    return [
        {
            "Sid": "AshoreWriteMarkers",
            "Effect": "Allow",
            "Action": ["dynamodb:DeleteItem", "dynamodb:PutItem"],
            "Resource": _table_arn(source),
            "Condition": {
                "ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{PREFIX}*"]},
                "Null": {"dynamodb:LeadingKeys": "false"},
            },
        }
    ]


def reverse_permissions(source: Source) -> list[dict[str, Any]]:
    """The statement that lets rows be written back to a table as items, from a cutover of writes on."""
    if not isinstance(source, TableSource):
        return []
    actions = ["dynamodb:DeleteItem", "dynamodb:PutItem"]
    return [{"Sid": "AshoreWriteBack", "Effect": "Allow", "Action": actions, "Resource": _table_arn(source)}]


def purge_permissions(source: Source) -> list[dict[str, Any]]:
    """The statements that let items be deleted that are still what was read, and readers of the table be looked for.

    PutItem puts back what was changed in the very moment of its deletion. Without the last two actions the user has to
    say what they would have told.
    """
    if not isinstance(source, TableSource):
        return []
    return [
        {
            "Sid": "AshorePurge",
            "Effect": "Allow",
            "Action": [
                "dynamodb:DeleteItem",
                "dynamodb:DescribeKinesisStreamingDestination",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
            ],
            "Resource": _table_arn(source),
        },
        {
            "Sid": "AshorePurgeReaders",
            "Effect": "Allow",
            "Action": ["cloudwatch:GetMetricData", "lambda:ListEventSourceMappings"],
            "Resource": "*",
        },
    ]


def assess_permissions(source: Source) -> list[dict[str, Any]]:
    """The statements of the least IAM policy for an assessment of `source`; asks nobody.

    Only the first is needed; without the others the assessment knows less, and says so. Their actions cannot be held
    to one table: a resource other than ``*`` would allow nothing.

    Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html and
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
    """
    match source:
        case TableSource():
            return [
                {
                    "Sid": "AshoreAssessTable",
                    "Effect": "Allow",
                    "Action": [
                        "dynamodb:DescribeContinuousBackups",
                        "dynamodb:DescribeKinesisStreamingDestination",
                        "dynamodb:DescribeTable",
                        "dynamodb:DescribeTimeToLive",
                        "dynamodb:Scan",
                    ],
                    "Resource": _table_arn(source),
                },
                {
                    "Sid": "AshoreAssessUse",
                    "Effect": "Allow",
                    "Action": ["cloudwatch:GetMetricData", "lambda:ListEventSourceMappings"],
                    "Resource": "*",
                },
            ]
        case ExportSource():
            return _bucket_permissions(source)
        case _:
            assert_never(source)


def check_access(source: Source) -> list[Problem]:
    """Try what a load will need: describe the table and read one item, or read the manifests of the export.

    Costs at most one page of one item. Problems are returned, not raised.
    """
    try:
        source.describe()
        if isinstance(source, TableSource):
            source.probe()
    except SourceError as error:
        where = f"table {source.table}" if isinstance(source, TableSource) else f"export {source.path}"
        return [Problem(where=where, what=error.what(), hint=error.hint())]
    return []


def _table_arn(source: TableSource) -> str:
    if source.table.startswith("arn:"):
        return source.table
    session = Session(profile=source.profile)
    region = source.region or session.get_config_variable("region") or "*"
    partition = "aws" if region == "*" else session.get_partition_for_region(region)
    return f"arn:{partition}:dynamodb:{region}:*:table/{source.table}"


def _bucket_permissions(source: ExportSource) -> list[dict[str, Any]]:
    if not source.path.startswith("s3://"):
        return []
    bucket, _, prefix = source.path.removeprefix("s3://").partition("/")
    below = f"{prefix.strip('/')}/*" if prefix.strip("/") else "*"
    return [
        {
            "Sid": "AshoreListExport",
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": f"arn:aws:s3:::{bucket}",
            "Condition": {"StringLike": {"s3:prefix": [below]}},
        },
        {
            "Sid": "AshoreReadExport",
            "Effect": "Allow",
            "Action": ["s3:GetObject"],
            "Resource": f"arn:aws:s3:::{bucket}/{below}",
        },
    ]
