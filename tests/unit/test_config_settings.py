"""Settings: the order of their layers, and everything that can be wrong with them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ashore.config.secret import Dsn
from ashore.config.settings import FromExport, FromTable, Resolved, load_settings, resolve
from ashore.errors import SettingsError

GOOD = """
[project]
declarations = "shop:shop"
workers = 3

[environment.test]
postgres = "postgresql://ann:sesame@127.0.0.1/shop"
table = "shop"
"""


def resolved(
    folder: Path,
    text: str | None = GOOD,
    *,
    environment: str | None = None,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Resolved:
    if text is not None:
        (folder / "ashore.toml").write_text(text, encoding="utf-8")
    return resolve(folder, environment=environment, flags=flags or {}, environ=environ or {})


def told(found: Resolved) -> str:
    return "\n".join(f"{one.where}: {one.what}; {one.hint}" for one in found.problems)


def origin(found: Resolved, name: str) -> tuple[Any, str]:
    return next((one.value, one.origin) for one in found.shown if one.name == name)


def test_flag_beats_variable_beats_environment_beats_project_beats_default(tmp_path: Path) -> None:
    text = GOOD + "workers = 4\n"
    variable = {"ASHORE_WORKERS": "5"}
    assert (2, "default") == origin(resolved(tmp_path, GOOD.replace("workers = 3", "")), "workers")
    assert (3, "ashore.toml, [project] line 4") == origin(resolved(tmp_path, GOOD), "workers")
    assert (4, "ashore.toml, [environment.test] line 9") == origin(resolved(tmp_path, text), "workers")
    assert (5, "ASHORE_WORKERS") == origin(resolved(tmp_path, text, environ=variable), "workers")
    flags = {"workers": "6"}
    assert (6, "--workers") == origin(resolved(tmp_path, text, environ=variable, flags=flags), "workers")


def test_a_flag_for_an_export_replaces_the_files_table(tmp_path: Path) -> None:
    assert FromTable(table="shop") == resolved(tmp_path).settings.items_from
    found = resolved(tmp_path, flags={"export": "there"})
    assert FromExport(export="there") == found.settings.items_from
    assert "" == told(found)


def test_an_export_in_the_file_is_taken_from_the_projects_directory(tmp_path: Path) -> None:
    found = resolved(tmp_path, GOOD.replace('table = "shop"', 'export = "dump"'))
    assert FromExport(export=str(tmp_path / "dump")) == found.settings.items_from


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("workers = 0", "workers: must be at least 1", id="too small"),
        pytest.param('workers = "4"', "workers: must be a whole number", id="text for a number"),
        pytest.param("workers = true", "workers: must be a whole number", id="a boolean for a number"),
        pytest.param("segments = 1000001", "segments: must be at most 1000000", id="too large"),
        pytest.param("read_units = 0", "read_units: must be more than 0", id="no budget"),
        pytest.param('max_rejected = "many%"', "max_rejected: must be a share", id="not a share"),
        pytest.param("max_rejected = 2", "max_rejected: must be at most 1", id="more than all"),
        pytest.param("region = 4", "region: must be text, in quotes", id="number for text"),
        pytest.param('region = ""', "region: is empty", id="empty text"),
        pytest.param('regoin = "x"', "did you mean 'region'?", id="slip"),
        pytest.param('endpoint_url = "localhost:8000"', "must begin with http://", id="no scheme"),
        pytest.param(
            'endpoint_url = "http://u:sesame@h"', "must not hold a user or a password", id="user in an address"
        ),
        pytest.param('maintenance_work_mem = "much"', "must be a number and a unit", id="memory"),
        pytest.param('export = "e"', "table and export are both given", id="two sources"),
        pytest.param('postgres_env = "X"', "postgres and postgres_env are both given", id="two databases"),
        pytest.param('declarations = "shop"', "must name a module and the Source in it", id="no source"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_without_its_value(tmp_path: Path, line: str, expected: str) -> None:
    found = resolved(tmp_path, GOOD + line + "\n")
    assert expected in told(found)
    assert "line 9" in told(found)
    assert "sesame" not in told(found)


def test_a_table_and_its_region_must_agree(tmp_path: Path) -> None:
    arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/shop"
    found = resolved(tmp_path, flags={"table": arn}, environ={"ASHORE_REGION": "us-east-1"})
    assert "ASHORE_REGION: the region is us-east-1, but the table's ARN says eu-west-1" in told(found)


def test_read_units_beside_an_export_are_a_contradiction_unless_they_are_of_a_weaker_layer(tmp_path: Path) -> None:
    text = GOOD + "read_units = 100\n"
    assert "" == told(resolved(tmp_path, text, flags={"export": "e"}))
    both = resolved(tmp_path, text, flags={"export": "e", "read_units": "5"})
    assert "--read-units: read_units is for a table, and an export is read" in told(both)


def test_all_problems_are_in_one_error(tmp_path: Path) -> None:
    (tmp_path / "ashore.toml").write_text("[project]\nworkres = 1\n[environment.a]\n[enviroment.b]\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, environment="c", flags={"workers": "-1"}, environ={})
    text = str(caught.value)
    assert len(caught.value.problems) >= 5
    for expected in (
        "did you mean 'workers'?",
        "enviroment: no such table",
        "there is no environment 'c'",
        "--workers: must be at least 1",
        "nothing says where the declarations are",
        "nothing says which database to write to",
        "nothing says which table or export to read",
    ):
        assert expected in text


def test_several_environments_need_a_choice_and_a_default_is_one(tmp_path: Path) -> None:
    two = GOOD + '[environment.prod]\ntable = "t"\n'
    assert "several environments are declared: test, prod" in told(resolved(tmp_path, two))
    assert "prod" == resolved(tmp_path, two, environment="prod").settings.environment
    assert "prod" == resolved(tmp_path, two, environ={"ASHORE_ENV": "prod"}).settings.environment
    chosen = two.replace("[project]", '[project]\ndefault_environment = "test"')
    assert "test" == resolved(tmp_path, chosen).settings.environment
    wrong = two.replace("[project]", '[project]\ndefault_environment = "tset"')
    assert "did you mean 'test'?" in told(resolved(tmp_path, wrong))


def test_a_file_is_not_needed_where_variables_say_it_all(tmp_path: Path) -> None:
    environ = {"ASHORE_DECLARATIONS": "a:b", "ASHORE_POSTGRES": "dbname=x", "ASHORE_TABLE": "t", "ASHORE_PROFILE": ""}
    found = resolved(tmp_path, None, environ=environ)
    assert "" == told(found)
    assert found.settings.aws.profile is None
    assert "there is no such file" in told(resolved(tmp_path, None))


def test_a_file_that_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    assert "line 3" in told(resolved(tmp_path, "[project]\nworkers = 1\nworkers =\n"))


def test_only_variables_that_look_like_a_slip_are_told(tmp_path: Path) -> None:
    found = resolved(tmp_path, environ={"ASHORE_PORT": "tcp://10.0.0.1:80", "ASHORE_WORKER": "3"})
    assert "ASHORE_WORKER: is not read; did you mean ASHORE_WORKERS?" == told(found)


def test_a_variable_named_by_postgres_env_must_be_there_and_be_an_address(tmp_path: Path) -> None:
    text = GOOD.replace('postgres = "postgresql://ann:sesame@127.0.0.1/shop"', 'postgres_env = "SHOP_DSN"')
    assert "the environment variable SHOP_DSN is not set" in told(resolved(tmp_path, text))
    wrong = told(resolved(tmp_path, text, environ={"SHOP_DSN": "postgresql://a:sesame@[h/z"}))
    assert "SHOP_DSN: is not an address" in wrong
    assert "sesame" not in wrong


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ann:se%40same@h/d",
        "host=h password='se@same' sslpassword=se@same dbname=d",
        "postgresql://h/d?user=ann&password=se%40same",
    ],
)
def test_an_address_hides_its_secrets_and_reveals_them_when_asked(text: str) -> None:
    dsn = Dsn(text)
    for shown in (str(dsn), repr(dsn), f"{dsn}", json.dumps({"dsn": str(dsn)}), repr({"dsn": dsn})):
        assert "same" not in shown
        assert "***" in shown
    assert text == dsn.reveal()
    assert dsn == pickle.loads(pickle.dumps(dsn))


def test_settings_hide_the_password_wherever_they_are_printed(tmp_path: Path) -> None:
    found = resolved(tmp_path)
    assert "sesame" not in repr(found)
    assert found.settings.postgres is not None
    assert "sesame" in found.settings.postgres.reveal()


def test_opensearch_is_asked_over_tls_unless_it_is_this_machine(tmp_path: Path) -> None:
    assert "unencrypted" in told(resolved(tmp_path, GOOD + 'opensearch = "http://search.example.com"\n'))
    for address in ("https://search.example.com", "http://localhost:9200", "http://127.0.0.1:9200"):
        assert told(resolved(tmp_path, f'{GOOD}opensearch = "{address}"\n')) == ""


def test_a_login_to_opensearch_is_in_no_output_and_excludes_a_signature(tmp_path: Path) -> None:
    text = GOOD + 'opensearch = "https://search.example.com"\nopensearch_login_env = "SEARCH_LOGIN"\n'
    found = resolved(tmp_path, text, environ={"SEARCH_LOGIN": "ann:hunter2"})
    search = found.settings.search
    assert search is not None
    assert search.login is not None
    assert search.login.reveal() == "ann:hunter2"
    assert "hunter2" not in repr(found)
    assert told(resolved(tmp_path, text)) == "", "only commands that feed mind that the variable is not set"
    assert "user:password" in told(resolved(tmp_path, text, environ={"SEARCH_LOGIN": "hunter2"}))
    both = told(resolved(tmp_path, text + "opensearch_iam = true\n"))
    assert "opensearch_iam and opensearch_login_env are both given" in both


def test_a_password_in_the_address_of_opensearch_is_refused_and_not_shown(tmp_path: Path) -> None:
    said = told(resolved(tmp_path, GOOD + 'opensearch = "https://ann:hunter2@search.example.com"\n'))
    assert "must not hold a user or a password" in said
    assert "hunter2" not in said
