"""The Lambda handler, called as Lambda calls it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from ashore.aws_lambda import sync
from ashore.errors import AshoreError


@dataclass
class Context:
    """What is left of an invocation of so many seconds."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return int((self.seconds - (time.monotonic() - self.began)) * 1000)


@pytest.fixture
def deployed(shop_table: Any, moto: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    client = moto.client("dynamodb")
    client.update_table(
        TableName="shop", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    )
    for item in make.many(5):
        client.put_item(TableName="shop", Item=item)
    for name, value in shop_table.given().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(shop_table.folder))
    return shop_table


def test_an_invocation_works_for_its_time_and_hands_its_shards_over(deployed: Any, make: Any, moto: Any) -> None:
    deployed.json("load", "--sync")
    moto.client("dynamodb").put_item(TableName="shop", Item=make.customer("late"))
    began = time.monotonic()

    done = sync.handler({}, Context(sync.HANDOVER_SECONDS + 14))

    assert time.monotonic() - began < 20
    assert (done["source"], done["changes"] > 0) == ("shop", True)
    assert deployed.rows("SELECT count(*) FROM customer WHERE customer_id = 'late'") == [(1,)]
    assert deployed.rows("SELECT count(*) FROM ashore.shard WHERE owner IS NOT NULL") == [(0,)]
    assert deployed.rows("SELECT count(*) FROM ashore.sync_worker") == [(0,)]


def test_an_invocation_that_cannot_work_fails(deployed: Any, moto: Any) -> None:
    moto.client("dynamodb").update_table(TableName="shop", StreamSpecification={"StreamEnabled": False})
    assert os.environ["LAMBDA_TASK_ROOT"] == str(deployed.folder)
    with pytest.raises(AshoreError, match="ASH801"):
        sync.handler({}, Context(30))
