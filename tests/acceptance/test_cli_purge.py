"""`ashore purge` as a user runs it, after a whole crossing, with a worker beside it."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from typing import Any

import psycopg
import pytest
from tests.acceptance.test_cli_cutover import eventually, item_of
from tests.acceptance.test_cli_sync import running, streamed

__all__ = ["streamed"]

SAID = ("--restore-point", "a snapshot of today", "--nobody-reads", "--consumers-know")


def typed(project: Any, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command at a terminal, and type a line."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{text}\n".encode())
        return subprocess.run(
            [sys.executable, "-m", "ashore", *arguments],
            cwd=project.folder,
            env=project.given(),
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_retired_entity_is_purged_and_what_is_not_its_own_stays(streamed: Any, moto: Any, make: Any) -> None:
    client = moto.client("dynamodb")
    streamed.json("load", "--sync")
    with running(streamed):
        eventually(lambda: {one["state"] for one in streamed.json("status")["entities"]} == {"syncing"})
        assert streamed.json("verify")["equal"]
        client.update_continuous_backups(
            TableName="shop", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        streamed.json("cutover", "writes", "customer", "--rehearse")
        streamed.json("cutover", "writes", "customer", "--restore-point", "a snapshot of today")

        refused = streamed.run("purge", "customer", *SAID, "--yes")
        assert (3, True) == (refused.returncode, "customer is writing" in refused.stderr)
        streamed.json("retire", "customer")

        client.put_item(TableName="shop", Item=make.customer("c3", credit={"N": "1"}))
        eventually(lambda: streamed.run("foreign", "list").returncode == 1)
        planned = streamed.json("purge", "customer", *SAID, "--dry-run")
        assert planned["is_open"], planned["gates"]
        assert {"customer": 10} == planned["items"]
        shown = streamed.run("purge", "customer", *SAID, "--dry-run")
        assert (0, True) == (shown.returncode, "about 10 items of customer" in shown.stdout)
        unconfirmed = streamed.run("purge", "customer", *SAID)
        assert (2, True) == (unconfirmed.returncode, "ASH856" in unconfirmed.stderr)
        assert item_of(client, make, "c1") is not None

        done = streamed.json("purge", "customer", *SAID, "--yes", "--keep-export", "kept", exit_code=1)
        assert {"customer": {"deleted": 9, "foreign": 1}} == done["counts"]
        assert (9, 1, 22) == (done["deleted"], done["left"], done["not_touched"])

        [foreign] = streamed.json("foreign", "list", exit_code=1)
        streamed.json("foreign", "done", str(foreign["number"]))
        mistyped = typed(streamed, "custmer", "purge", "customer", *SAID)
        assert (2, True) == (mistyped.returncode, "ASH856" in mistyped.stderr)
        assert item_of(client, make, "c3") is not None
        again = typed(streamed, "customer", "purge", "customer", *SAID)
        assert (0, True) == (again.returncode, "1 deleted, 0 left, 22 not touched" in again.stdout), again.stderr
        eventually(
            lambda: streamed.rows("SELECT sum(changes)::int FROM ashore.sync_count WHERE outcome = 'purged'") == [(10,)]
        )
        assert [] == streamed.json("foreign", "list"), "deletions of a purge are nobody's writes"

    left = client.scan(TableName="shop", ConsistentRead=True)["Items"]
    assert 22 == len(left)
    assert not any(one["sk"]["S"].startswith("customer|") for one in left)
    assert [(10,)] == streamed.rows("SELECT count(*) FROM customer")
    kept = [line for path in (streamed.folder / "kept").iterdir() for line in gzip.open(path)]  # noqa: SIM115
    assert 9 == len(kept)
    assert {"pk", "sk", "customerId", "fullName", "credit"} == json.loads(kept[0])["Item"].keys()
    assert "retired, purged" in streamed.run("status").stdout
    commands = [command for (command,) in streamed.rows("SELECT command FROM ashore.audit ORDER BY id")]
    assert ["purge", "purged", "foreign", "purge", "purged"] == commands[-5:]


def test_a_policy_that_denies_writes_is_printed_applied_and_removed(streamed: Any, moto: Any) -> None:
    role = ("--writer", "arn:aws:iam::123456789012:role/ashore")
    text = (streamed.folder / "shop.py").read_text(encoding="utf-8")
    streamed.write("shop.py", f"{text}\nshop.together(customers, purchases)\n")
    deny = ("policy", "--deny", "customer", "--deny", "purchase")

    printed = streamed.run(*deny, *role)
    assert 0 == printed.returncode, printed.stderr
    [statement] = json.loads(printed.stdout)["Statement"]
    assert ["customer|*"] == statement["Condition"]["ForAnyValue:StringLike"]["dynamodb:LeadingKeys"]
    assert "fence: enforced by IAM for customer, purchase: by its partition keys" in printed.stderr
    assert "Principal" not in json.loads(streamed.run(*deny, *role, "--identity").stdout)["Statement"][0]
    assert 2 == streamed.run(*deny).returncode, "whoever writes back must be named"
    assert 2 == streamed.run("policy", "--apply").returncode
    session = "arn:aws:sts::123456789012:assumed-role/ashore/session"
    assert 2 == streamed.run(*deny, "--writer", session).returncode, "IAM compares the role's own ARN"

    streamed.json("load")
    refused = streamed.run(*deny, *role, "--apply")
    assert (3, True) == (refused.returncode, "ASH859" in refused.stderr)
    with psycopg.connect(streamed.dsn, autocommit=True) as conn:
        conn.execute("UPDATE ashore.entity SET state = 'writing'")
    assert streamed.json(*deny, *role, "--apply")["changed"]
    arn = statement["Resource"]
    client = moto.client("dynamodb")
    assert [statement] == json.loads(client.get_resource_policy(ResourceArn=arn)["Policy"])["Statement"]
    assert streamed.json(*deny, "--remove")["removed"]
    with pytest.raises(client.exceptions.PolicyNotFoundException):
        client.get_resource_policy(ResourceArn=arn)
