"""The file `ashore.toml` of a proposed project."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Final

from ashore.assess.proposal import Proposal
from ashore.assess.write_declaration import MODULE
from ashore.assess.writing.python import printable
from ashore.config.layers import PREFIX
from ashore.config.settings import Aws, FromExport, FromTable, ItemsFrom

POSTGRES_VARIABLE: Final = f"{PREFIX}POSTGRES"
"""The environment variable that holds the target's address; Alembic's environment reads it too."""

_HEAD: Final = """\
# {name}: settings of every command of Ashore here. `ashore config show` prints them with their origins.

[project]
declarations = "{module}:source"  # the Source in {module}.py

# One environment for each pair of a table and a database. `--env NAME` chooses where there are several.
[environment.first]
"""
_POSTGRES: Final = """\
# The database to write to: put its address into this variable, as in postgresql://user@host:5432/database.
postgres_env = "{variable}"
"""


def ashore_toml(proposal: Proposal, items_from: ItemsFrom, aws: Aws) -> str:
    """The settings with which the proposal was made, and where to name the database.

    A folder with an export is written as an absolute path. `read_units` and `segments` are left out: what is right
    for an assessment need not be for a load.
    """
    lines = [_HEAD.format(name=printable(proposal.name), module=MODULE).rstrip("\n")]
    match items_from:
        case FromTable(table=table):
            lines.append(f"table = {_text(table)}")
            lines.append("# read_units = 500  # the most to take a second; without it, as much as the table gives")
        case FromExport(export=export):
            lines.append(f"export = {_text(export if '://' in export else str(Path(export).absolute()))}")
    given = {field.name: getattr(aws, field.name) for field in fields(aws)}
    lines += [f"{name} = {_text(value)}" for name, value in given.items() if value is not None]
    return "\n".join(lines) + "\n" + _POSTGRES.format(variable=POSTGRES_VARIABLE)


def _text(value: str) -> str:
    """A basic string of TOML, which is one of JSON but for U+007F.

    Source: https://toml.io/en/v1.0.0#string
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
