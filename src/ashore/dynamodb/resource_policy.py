"""The policy of a table itself: one statement put into it or taken out, all others left as they are.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutResourcePolicy.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-considerations.html
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from ashore.dynamodb.errors import SourceError, Unreachable
from ashore.dynamodb.faults import Request, denied, error_of
from ashore.dynamodb.settings import Aws, dynamodb_client

Result = TypeVar("Result")
Statement = dict[str, Any]

MOST_BYTES: Final = 20 * 1024
BLOCKED_SECONDS: Final = 15.0
"""For so long after an update of a table's policy the next one is refused; that it is refused so is assumed."""
_blocked: Final = frozenset({"LimitExceededException", "ResourceInUseException", "ThrottlingException"})
_none: Final = "NO_POLICY"


@dataclass(eq=False, kw_only=True)
class PolicyMoved(SourceError):
    """Somebody else changed the table's policy at the same time. It is as they left it."""

    table: str

    code: ClassVar[str] = "ASH321"
    exit_code: ClassVar[int] = 3

    def what(self) -> str:
        return f"the policy of table {self.table} was changed by somebody else meanwhile"

    def hint(self) -> str:
        return "run the command again: it keeps what others wrote"


@dataclass(eq=False, kw_only=True)
class PolicyTooLong(SourceError):
    """The table's policy would be longer than AWS allows. It was not changed."""

    table: str
    length: int

    code: ClassVar[str] = "ASH322"
    exit_code: ClassVar[int] = 3

    def what(self) -> str:
        return f"the policy of table {self.table} would have {self.length:,} bytes, and may have {MOST_BYTES:,}"

    def hint(self) -> str:
        return (
            "name fewer entities, or attach the statement to the application's roles: `ashore policy --deny --identity`"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy, and the revision that a change of it has to name."""

    document: dict[str, Any]
    revision: str

    @property
    def statements(self) -> list[Statement]:
        """Its statements, also where it has one without a list."""
        found = self.document.get("Statement", [])
        return [found] if isinstance(found, dict) else list(found)


@dataclass(frozen=True, kw_only=True)
class TablePolicy:
    """The policy of one table, by its ARN. What its methods raise: AccessDenied, Unreachable, RequestRefused, and more.

    AWS applies a policy some seconds after it was put, and says of no moment when it has.
    """

    arn: str
    aws: Aws
    patience_seconds: float = 3 * BLOCKED_SECONDS
    sleep: Callable[[float], None] = time.sleep

    def read(self) -> Policy | None:
        """The policy, as AWS tells it now, which may be some seconds old; None where there is none."""
        client = dynamodb_client(self.aws)
        try:
            found = self._told("GetResourcePolicy", lambda: client.get_resource_policy(ResourceArn=self.arn))
        except _PolicyNotFound:
            return None
        return Policy(document=json.loads(found["Policy"]), revision=found["RevisionId"])

    def put(self, statements: Sequence[Statement]) -> bool:
        """Let the policy have these statements in place of any of the same ``Sid``; return whether that changed it.

        Raises:
            PolicyMoved, PolicyTooLong: It was not changed.
        """
        was = self.read()
        there = [] if was is None else was.statements
        if all(one in there for one in statements):
            return False
        sids = {one["Sid"] for one in statements}
        self._write(was, [*(one for one in there if one.get("Sid") not in sids), *statements])
        return True

    def remove(self, sids: Collection[str]) -> bool:
        """Take these statements out, and the policy away where nothing else is in it; return whether one was there.

        Raises:
            PolicyMoved: It was not changed.
        """
        was = self.read()
        if was is None or all(one.get("Sid") not in sids for one in was.statements):
            return False
        self._write(was, [one for one in was.statements if one.get("Sid") not in sids])
        return True

    def _write(self, was: Policy | None, statements: list[Statement]) -> None:
        client = dynamodb_client(self.aws)
        revision = _none if was is None else was.revision
        if not statements:
            operation = "DeleteResourcePolicy"
            self._patiently(
                operation, lambda: client.delete_resource_policy(ResourceArn=self.arn, ExpectedRevisionId=revision)
            )
            return
        document = {"Version": "2012-10-17"} if was is None else was.document
        text = json.dumps({**document, "Statement": statements}, separators=(",", ":"))
        if len(text.encode()) > MOST_BYTES:
            raise PolicyTooLong(table=self.arn, length=len(text.encode()))
        self._patiently(
            "PutResourcePolicy",
            lambda: client.put_resource_policy(ResourceArn=self.arn, Policy=text, ExpectedRevisionId=revision),
        )

    def _patiently(self, operation: str, ask: Callable[[], Any]) -> None:
        """Ask until the update is not blocked by an earlier one any more."""
        waited = 0.0
        while True:
            try:
                self._told(operation, ask)
            except _PolicyNotFound:
                raise PolicyMoved(table=self.arn) from None
            except _Blocked as error:
                if waited >= self.patience_seconds:
                    raise Unreachable(operation, self.arn, int(waited), error.code) from None
                waited += 1.0
                self.sleep(1.0)
            else:
                return

    def _told(self, operation: str, ask: Callable[[], Result]) -> Result:
        client = dynamodb_client(self.aws)
        try:
            return ask()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "PolicyNotFoundException":
                raise _PolicyNotFound from error
            if code in _blocked:
                raise _Blocked(code) from error
            request = Request(operation=operation, table=self.arn)
            raise error_of(
                code,
                error.response["Error"].get("Message", ""),
                request,
                endpoint=client.meta.endpoint_url,
                request_id=error.response["ResponseMetadata"].get("RequestId"),
            ) from error
        except BotoCoreError as error:
            raise Unreachable(operation, client.meta.endpoint_url, 1, type(error).__name__) from error


def statements_of(arn: str, aws: Aws) -> list[Statement] | None:
    """The statements of a table's policy; None where nobody may ask, or the server knows no such policies."""
    try:
        found = dynamodb_client(aws).get_resource_policy(ResourceArn=arn)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "PolicyNotFoundException":
            return []
        if (
            code in denied | {"UnknownOperationException"}
            or error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
        ):
            return None
        raise error_of(
            code,
            error.response["Error"].get("Message", ""),
            Request(operation="GetResourcePolicy", table=arn),
            endpoint=arn,
            request_id=None,
        ) from error
    except BotoCoreError:
        return None
    return Policy(document=json.loads(found["Policy"]), revision=found["RevisionId"]).statements


class _PolicyNotFound(Exception):
    """There is no policy, or not of the revision that was named."""


class _Blocked(Exception):
    """It may be asked again."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)
