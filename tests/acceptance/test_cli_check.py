"""`ashore check`, `ashore config show`, `ashore policy` and wrong usage, as a user runs them."""

from __future__ import annotations

import json
import shutil
from typing import Any

WRONG = """
[project]
declaration = "shop:shop"
workers = "many"

[environment.test]
postgres = "postgresql://postgres:open-sesame-4711@nowhere.invalid/shop"
postgres_env = "SHOP_DSN"
table = "shop"
export = "exported"
max_rejected = 7
"""


def problems_of(report: Any) -> str:
    return "\n".join(f"{one['where']}: {one['what']}; {one['hint']}" for one in report)


def test_every_problem_of_a_configuration_is_told_at_once(shop: Any) -> None:
    shop.write("ashore.toml", WRONG)

    error = shop.json("load", "--segments", "x", exit_code=2, environ={"ASHORE_WITNES": "3"})["error"]
    text = shop.run("load")

    told = problems_of(error["problems"])
    for expected in (
        "line 3: declaration: there is no such setting; did you mean 'declarations'?",
        "line 4: workers: must be a whole number",
        "postgres and postgres_env are both given",
        "table and export are both given",
        "line 11: max_rejected: must be at most 1",
        "--segments: must be a whole number",
        "ASHORE_WITNES: is not read; did you mean ASHORE_WITNESS?",
        "nothing says where the declarations are",
    ):
        assert expected in told
    assert 2 == text.returncode
    assert "did you mean 'declarations'?" in text.stderr
    assert "" == text.stdout
    assert shop.is_untouched()


def test_check_finds_nothing_wrong_with_a_good_project(shop: Any, make: Any) -> None:
    export = shop.export(make.many(5))

    done = shop.run("check", "--export", export)
    report = shop.json("check", "--export", export)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "no problems" in done.stdout
    assert 0 == report["problems"]
    (encoding,) = [part for part in report["parts"] if part["name"] == "encoding"]
    assert encoding["facts"][0].startswith(("in Python, text COPY: ashore-native", "native, binary COPY, by "))
    assert shop.is_untouched()


def test_check_advises_on_what_items_show(shop: Any, make: Any) -> None:
    items = [*make.many(3), make.purchase("c1", "p", purchaseId=make.S("p")), make.customer("x", credit=make.S("?"))]

    parts = shop.json("check", "--export", shop.export(items))["parts"]

    advice = problems_of(parts[3]["advice"])
    assert "attribute 'purchaseId' repeats key column 'purchase_id'" in advice
    assert "1 of the first 13 items would be rejected" in advice


def test_check_tells_the_problems_of_all_parts_at_once(shop_table: Any, moto: Any) -> None:
    client = moto.client("dynamodb")
    client.create_table(
        TableName="other",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
    )
    shop_table.rows(
        "CREATE TABLE customer (customer_id varchar(10) PRIMARY KEY, full_name text, credit integer NOT NULL,"
        " note text NOT NULL, extra jsonb, residue jsonb)"
    )

    report = shop_table.json("check", "--table", "other", exit_code=2, environ={"ASHORE_MAX_REJECTED": "lots"})

    told = {part["name"]: problems_of(part["problems"]) for part in report["parts"]}
    assert "ASHORE_MAX_REJECTED: must be a number" in told["configuration"]
    for expected in (
        "public.customer.customer_id: is character varying(10), declared as text",
        'a text key is COLLATE "C"',
        "public.customer.credit: is integer, declared as numeric",
        "public.customer.credit: is NOT NULL, declared as nullable",
        "public.customer.note: is NOT NULL without a default",
    ):
        assert expected in told["PostgreSQL"]
    assert "its key is id (N), declared as pk (S), sk (S)" in told["source"]
    assert "full_name: is nullable, declared NOT NULL" in problems_of(report["parts"][2]["advice"])
    assert [("customer",)] == shop_table.rows("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")


def test_check_goes_on_past_a_module_that_raises(shop: Any, make: Any) -> None:
    shop.write("shop.py", "import ashore\nx = 1 / 0\n")

    report = shop.json("check", "--export", "nowhere", exit_code=2)

    told = {part["name"]: problems_of(part["problems"]) for part in report["parts"]}
    assert "raised ZeroDivisionError: division by zero at shop.py line 2" in told["declarations"]
    assert "no DynamoDB export here" in told["source"]
    assert "" == told["PostgreSQL"]


def test_check_tells_all_problems_of_a_declaration(shop: Any) -> None:
    declaration = (shop.folder / "shop.py").read_text()
    shop.write(
        "shop.py", declaration.replace("sa.Numeric", "sa.Float").replace('"amount", sa.Integer', '"amount", sa.CHAR(3)')
    )

    report = shop.json("check", exit_code=2)

    told = problems_of(report["parts"][1]["problems"])
    assert "use Numeric" in told
    assert "char(n)" in told


def test_check_refuses_an_incremental_and_an_ion_export(shop: Any, make: Any) -> None:
    export = shop.export(make.many(1))
    summary = next((shop.folder / "exported").rglob("manifest-summary.json"))
    whole = json.loads(summary.read_text())
    (summary.parent / "manifest-summary.md5").unlink()
    for changed, expected in (
        ({"exportType": "INCREMENTAL_EXPORT"}, "FULL_EXPORT"),
        ({"outputFormat": "ION"}, "DYNAMODB_JSON"),
    ):
        summary.write_text(json.dumps(whole | changed))
        assert expected in problems_of(shop.json("check", "--export", export, exit_code=2)["parts"][3]["problems"])


def test_a_database_that_cannot_be_reached_is_a_problem_without_its_password(shop: Any, make: Any) -> None:
    shop.environ["SHOP_DSN"] = "postgresql://ann:open-sesame-4711@127.0.0.1:1/shop"

    checked = shop.run("check", "--export", shop.export(make.many(1)))
    loaded = shop.run("load", "--export", str(shop.folder / "exported"))

    assert [2, 2] == [checked.returncode, loaded.returncode]
    assert "cannot connect to PostgreSQL at 127.0.0.1:1/shop" in checked.stdout
    assert "ASH401" in loaded.stderr


def test_config_show_prints_origins_and_hides_secrets(shop: Any) -> None:
    shop.write("ashore.toml", f'[environment.prod]\npostgres = "{shop.secret_dsn}"\ntable = "shop"\n')

    shown = shop.json("config", "show", exit_code=2, environ={"ASHORE_WORKERS": "7"})
    text = shop.run("config", "show", environ={"ASHORE_DECLARATIONS": "shop:shop"})

    settings = {one["name"]: (one["value"], one["origin"]) for one in shown["settings"]}
    assert "password=***" in settings["postgres"][0]
    assert "ashore.toml, [environment.prod] line 2" == settings["postgres"][1]
    assert (7, "ASHORE_WORKERS") == settings["workers"]
    assert (0.001, "default") == settings["max_rejected"]
    assert "where the declarations are" in problems_of(shown["problems"])
    assert 0 == text.returncode
    assert "***" in text.stdout


def test_policy_needs_no_database_and_no_declaration(shop: Any) -> None:
    shutil.rmtree(shop.folder / "nothing", ignore_errors=True)
    (shop.folder / "ashore.toml").unlink()

    found = shop.json("policy", "--table", "arn:aws:dynamodb:eu-central-1:123456789012:table/shop")

    assert "2012-10-17" == found["Version"]
    assert "dynamodb:Scan" in found["Statement"][0]["Action"]
    assert not any("Put" in action or "Delete" in action for action in found["Statement"][0]["Action"])


def test_wrong_usage_ends_with_2_and_is_json_where_asked_for(shop: Any) -> None:
    text = shop.run("laod")
    told = shop.json("load", "--no-such-option", exit_code=2)

    assert 2 == text.returncode
    assert "" == text.stdout
    assert "usage" == told["error"]["code"]


def test_a_bug_ends_with_70_and_shows_no_value(shop: Any, make: Any) -> None:
    shop.write(
        "shop.py",
        (shop.folder / "shop.py").read_text() + "\nshop = shop.compile()\nobject.__setattr__(shop, 'entities', 7)\n",
    )

    done = shop.run("check", "--export", shop.export(make.many(1)))
    debugged = shop.run("check", "--export", str(shop.folder / "exported"), "--debug")

    assert [70, 70] == [done.returncode, debugged.returncode]
    assert "a bug of Ashore" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in debugged.stderr


def test_version_is_told(shop: Any) -> None:
    done = shop.run("--version")

    assert 0 == done.returncode
    assert done.stdout.startswith("ashore 0.")
