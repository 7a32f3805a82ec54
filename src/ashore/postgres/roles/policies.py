"""The IAM policies with which roles may be logged in as."""

from __future__ import annotations

from typing import Any, Final

from ashore.config.users import Users

ACTION: Final = "rds-db:connect"


def policies(users: Users, *, region: str | None) -> dict[str, dict[str, Any]]:
    """Role → the policy that its IAM role or permission set needs; empty where the resource id is not declared.

    The resource id is not the cluster's name: a policy on the name is accepted by IAM, and allows nothing. What is not
    declared is a ``*``.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
    """
    if users.resource_id is None:
        return {}
    where = users.region or region or "*"
    partition = "aws-cn" if where.startswith("cn-") else "aws-us-gov" if where.startswith("us-gov-") else "aws"
    before = f"arn:{partition}:rds-db:{where}:{users.account or '*'}:dbuser:{users.resource_id}"
    return {
        role.name: {
            "Version": "2012-10-17",
            "Statement": [
                {"Sid": "AshoreConnect", "Effect": "Allow", "Action": ACTION, "Resource": f"{before}/{role.name}"}
            ],
        }
        for role in users.roles
    }
