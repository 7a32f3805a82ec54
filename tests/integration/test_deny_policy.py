"""The table's own policy: statements go in and out by compare-and-set, and those of others stay; on moto."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.purge_world import Desk, own, plan

from ashore.cutover.denial import sid_of
from ashore.cutover.errors import NothingToDeny, StillWrittenInDynamoDB
from ashore.dynamodb import resource_policy
from ashore.dynamodb.errors import AccessDenied, Unreachable
from ashore.dynamodb.resource_policy import MOST_BYTES, PolicyMoved, PolicyTooLong, TablePolicy
from ashore.dynamodb.settings import dynamodb_client
from ashore.local import LocalAws
from ashore.pipeline import deny as denying
from ashore.pipeline.cutover import Options, opened
from ashore.postgres.connect import connect

ROLE = "arn:aws:iam::123456789012:role/ashore"
GROUP = ("call", "letter", "person")
THEIRS = {"Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "dynamodb:GetItem", "Resource": "*"}


def ours(sid: str = "AshoreDeny1", **more: Any) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Deny", "Principal": "*", "Action": "dynamodb:PutItem", "Resource": "*", **more}


@pytest.fixture
def desk(moto: LocalAws, postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    made = Desk(moto, postgres_dsn, tmp_path)
    made.make(own())
    return made


def policy_of(desk: Desk) -> TablePolicy:
    return TablePolicy(arn=desk.source.describe().arn, aws=desk.source.aws, sleep=lambda _seconds: None)


def refused(**_: Any) -> Any:
    """What AWS answers whom it does not let ask."""
    told: Any = {
        "Error": {"Code": "AccessDeniedException", "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    raise ClientError(told, "GetResourcePolicy")


def statements(desk: Desk) -> list[Any]:
    found = policy_of(desk).read()
    return [] if found is None else found.statements


def put_theirs(desk: Desk) -> None:
    document = json.dumps({"Version": "2012-10-17", "Id": "theirs", "Statement": THEIRS})
    desk.client.put_resource_policy(ResourceArn=policy_of(desk).arn, Policy=document)


def test_statements_of_others_stay(desk: Desk) -> None:
    put_theirs(desk)
    policy = policy_of(desk)

    assert policy.put([ours("AshoreDeny1"), ours("AshoreDeny2")])
    assert not policy.put([ours("AshoreDeny1")]), "it is there already"
    assert policy.put([ours("AshoreDeny1", Resource="x")])
    assert [THEIRS, ours("AshoreDeny2"), ours("AshoreDeny1", Resource="x")] == statements(desk)

    assert policy.remove({"AshoreDeny1"})
    assert not policy.remove({"AshoreDeny1"})
    assert policy.remove({"AshoreDeny2"})
    assert [THEIRS] == statements(desk)
    found = policy.read()
    assert found is not None
    assert "theirs" == found.document["Id"]


def test_a_policy_of_nothing_else_goes_with_the_last_statement(desk: Desk) -> None:
    policy = policy_of(desk)
    assert policy.put([ours()])
    assert policy.remove({"AshoreDeny1"})
    assert policy.read() is None


@pytest.mark.parametrize("has_one", [False, True])
def test_a_policy_that_somebody_changes_meanwhile_is_left_as_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, has_one: bool
) -> None:
    policy = policy_of(desk)
    if has_one:
        policy.put([ours("AshoreDeny0")])
    read = TablePolicy.read

    def read_and_lose(self: TablePolicy) -> Any:
        found = read(self)
        put_theirs(desk)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(TablePolicy, "read", read_and_lose)
        with pytest.raises(PolicyMoved):
            policy.put([ours()])
    assert [THEIRS] == statements(desk)


def test_a_policy_that_would_be_too_long_is_not_written(desk: Desk) -> None:
    put_theirs(desk)
    with pytest.raises(PolicyTooLong):
        policy_of(desk).put([ours(Resource="x" * MOST_BYTES)])
    assert [THEIRS] == statements(desk)


def test_an_update_that_is_blocked_for_seconds_is_asked_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    client = dynamodb_client(desk.source.aws)
    put: Callable[..., Any] = client.put_resource_policy
    answers = ["LimitExceededException"] * 3

    def blocked(**asked: Any) -> Any:
        if answers:
            told: Any = {"Error": {"Code": answers.pop()}, "ResponseMetadata": {}}
            raise ClientError(told, "PutResourcePolicy")
        return put(**asked)

    monkeypatch.setattr(client, "put_resource_policy", blocked)
    assert policy_of(desk).put([ours()])
    assert [ours()] == statements(desk)
    answers.extend(["LimitExceededException"] * 1_000)
    with pytest.raises(Unreachable):
        policy_of(desk).put([ours("AshoreDeny2")])


def test_where_it_may_not_be_asked_nothing_is_claimed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamodb_client(desk.source.aws), "get_resource_policy", refused)
    assert resource_policy.statements_of(policy_of(desk).arn, desk.source.aws) is None
    with pytest.raises(AccessDenied):
        policy_of(desk).read()


def test_writes_are_denied_once_postgres_has_them_and_allowed_before_they_go_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_theirs(desk)
    slept: list[float] = []
    project = desk.project
    desk.do("UPDATE ashore.entity SET state = 'syncing' WHERE entity = 'call'")
    with pytest.raises(StillWrittenInDynamoDB):
        denying.deny(project, GROUP, [ROLE], sleep=slept.append)
    desk.do("UPDATE ashore.entity SET state = 'writing' WHERE entity = 'call'")
    with pytest.raises(NothingToDeny, match="shares partition keys with entity call"):
        denying.deny(project, ["person"], [ROLE], sleep=slept.append)
    assert ([THEIRS], []) == (statements(desk), slept)

    done = denying.deny(project, ["call"], [ROLE], sleep=slept.append)
    assert (("call",), True, [denying.APPLIED_SECONDS]) == (done.enforced, done.changed, slept)
    assert [THEIRS["Sid"], sid_of("desk", ["call"])] == [one["Sid"] for one in statements(desk)]
    assert ["person|*"] == statements(desk)[1]["Condition"]["ForAnyValue:StringLike"]["dynamodb:LeadingKeys"]
    assert not denying.deny(project, ["call"], [ROLE], sleep=slept.append).changed

    with opened(project, ["call"], Options()) as command:
        assert "DynamoDB: enforced by IAM for call: by its partition keys" in command.plan_back().fence
        order: list[str] = []
        monkeypatch.setattr("ashore.pipeline.deny.time.sleep", lambda _seconds: None)
        monkeypatch.setattr("ashore.cutover.gates.assert_open", lambda *_: None)
        monkeypatch.setattr(
            "ashore.cutover.run.roll_back", lambda *_: order.append(str([one["Sid"] for one in statements(desk)]))
        )
        command.back()
    assert ["['Theirs']"] == order, "others may write before writes go back"
    with connect(desk.dsn, application_name="test", autocommit=True) as conn:
        assert denying.is_denied(plan, desk.source, ["call"]) is False
        [fence] = denying.fence_of(conn, plan, desk.source, ["call"])
    assert "not prevented" in fence
    commands = [one for (one,) in desk.rows("SELECT command FROM ashore.audit ORDER BY id")]
    assert ["deny writes", "deny writes", "rollback writes", "allow writes"] == commands[-4:]


def test_a_way_back_is_refused_while_what_denies_writes_cannot_be_taken_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.do("UPDATE ashore.entity SET state = 'writing' WHERE entity = 'call'")
    denying.deny(desk.project, ["call"], [ROLE], sleep=lambda _seconds: None)

    monkeypatch.setattr(dynamodb_client(desk.source.aws), "get_resource_policy", refused)
    monkeypatch.setattr("ashore.cutover.gates.assert_open", lambda *_: None)
    with opened(desk.project, ["call"], Options()) as command, pytest.raises(AccessDenied):
        command.back()
    assert [("writing",)] == desk.rows("SELECT state FROM ashore.entity WHERE entity = 'call'")


def test_nothing_is_denied_beside_a_way_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.do("UPDATE ashore.entity SET state = 'writing' WHERE entity = 'call'")
    monkeypatch.setattr(denying, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr("ashore.cutover.gates.assert_open", lambda *_: None)

    def roll_back(*_: object) -> None:
        with pytest.raises(PolicyMoved):
            denying.deny(desk.project, ["call"], [ROLE])

    monkeypatch.setattr("ashore.cutover.run.roll_back", roll_back)
    with opened(desk.project, ["call"], Options()) as command:
        command.back()
    assert [] == statements(desk)


def test_the_policy_is_printed_for_the_table_and_for_roles(desk: Desk) -> None:
    printed = denying.denied_writes(desk.project, ["call"], [ROLE])
    assert printed.policy is not None
    [one] = printed.policy["Statement"]
    assert ("*", desk.source.describe().arn) == (one["Principal"], one["Resource"])
    identity = denying.denied_writes(desk.project, ["call"], [ROLE], identity=True)
    assert identity.policy is not None
    assert "Principal" not in identity.policy["Statement"][0]
    assert denying.denied_writes(desk.project, ["letter"], [ROLE]).policy is None
    assert [] == statements(desk)
