"""`ashore users`, as people and pipelines run it."""

from __future__ import annotations

from typing import Any

USERS = """
resource_id = "cluster-ABC"
account = "123456789012"

[roles]
cli_app = "application"
cli_migrator = "migrator"
"""


def test_roles_are_planned_applied_and_checked(shop: Any) -> None:
    shop.write("users.toml", USERS)
    assert 1 == shop.run("users", "check").returncode
    without_iam = shop.json("users", "plan")
    assert ["there is no role rds_iam"] == [one["what"] for one in without_iam["findings"]]

    shop.rows("CREATE ROLE rds_iam NOLOGIN")
    try:
        planned = shop.run("users", "plan")
        assert 0 == planned.returncode
        assert 'CREATE ROLE "cli_app" LOGIN;  -- cli_app is declared: application' in planned.stdout
        assert "dbuser:cluster-ABC/cli_app" in planned.stdout
        assert all(line.startswith("--") or ";  -- " in line for line in planned.stdout.splitlines())

        assert 0 == shop.run("users", "apply").returncode
        assert 0 == shop.run("users", "check").returncode
        assert [] == shop.json("users", "apply")["statements"]
        shop.rows("GRANT CREATE ON SCHEMA public TO cli_app")
        drifted = shop.run("users", "check")
        assert 1 == drifted.returncode
        assert 'REVOKE CREATE ON SCHEMA "public" FROM "cli_app"' in drifted.stdout

        assert 0 == shop.run("users", "apply").returncode
        shop.rows("ALTER ROLE cli_app BYPASSRLS")
        found = shop.json("users", "check", exit_code=1)
        assert ([], 1) == (found["statements"], len(found["findings"])), "only people can put it right"
    finally:
        shop.rows("DROP OWNED BY cli_app, cli_migrator; DROP ROLE cli_app, cli_migrator, rds_iam")


def test_a_project_without_a_declaration_is_told_what_one_looks_like(shop: Any) -> None:
    error = shop.json("users", "plan", exit_code=2)["error"]
    assert "users.toml" in error["problems"][0]["where"]
    assert "docs/how-to/users-and-grants.md" in error["problems"][0]["hint"]
