"""Alembic's part of a proposed project: the first revision, and what `alembic upgrade head` needs besides."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from alembic.autogenerate import render_python_code
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from ashore.assess.write_declaration import MODULE
from ashore.assess.write_settings import POSTGRES_VARIABLE

FOLDER: Final = "revisions"
_ID_CHARACTERS: Final = 12

_REVISION: Final = '''\
"""The tables of the first crossing, as {module}.py declared them.

Revision ID: {revision}
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "{revision}"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    {upgrade}


def downgrade() -> None:
    {downgrade}
'''

ALEMBIC_INI: Final = f"""\
# Alembic changes the schema. `alembic upgrade head` makes the tables in the database that {POSTGRES_VARIABLE} names;
# `ashore load` makes those that are missing, too: run `alembic stamp head` where it was first.

[alembic]
script_location = %(here)s/{FOLDER}
prepend_sys_path = %(here)s
path_separator = newline
"""

ENV_PY: Final = f'''\
"""Which tables, and which database: Alembic runs this for each of its commands."""

import os
import sys

import sqlalchemy as sa
from alembic import context
from ashore.postgres import connect as postgres

import {MODULE}

{MODULE}.source.compile()  # tables of copies are declared by the compiler


def connect() -> postgres.Conn:
    """A connection to the database that the settings name; its address may be any that Ashore takes."""
    address = os.environ.get("{POSTGRES_VARIABLE}")
    if not address:
        sys.exit("{POSTGRES_VARIABLE} is not set: put the database's address into it")
    return postgres.connect(address, application_name="alembic")


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata={MODULE}.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = sa.create_engine("postgresql+psycopg://", creator=connect, poolclass=sa.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata={MODULE}.metadata)
        with context.begin_transaction():
            context.run_migrations()
'''

SCRIPT_MAKO: Final = '''\
"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A revision of Alembic: its id, which follows from its content, and the text of its file."""

    id: str
    text: str

    @property
    def path(self) -> str:
        """Where its file is, from the project's folder."""
        return f"{FOLDER}/versions/{self.id}_tables.py"


def first_revision(metadata: sa.MetaData) -> Revision:
    """The revision that makes all tables, with keys, indexes and constraints, in a database that has none of them.

    Alembic's own renderer writes it; no database is asked. The same tables give the same text. Where foreign keys go
    in a cycle, those with `use_alter` are added once all tables are there.
    """
    upgrade = ops.UpgradeOps(ops=[*_tables(metadata), *_late_foreign_keys(metadata)])
    body = {"upgrade": _code(upgrade), "downgrade": _code(upgrade.reverse())}
    digest = hashlib.sha256("\0".join(body.values()).encode()).hexdigest()[:_ID_CHARACTERS]
    return Revision(id=digest, text=_REVISION.format(module=MODULE, revision=digest, **body))


def _tables(metadata: sa.MetaData) -> list[ops.MigrateOperation]:
    made: list[ops.MigrateOperation] = []
    for table in metadata.sorted_tables:
        create = ops.CreateTableOp.from_table(table)
        create.columns = [one for one in create.columns if not getattr(one, "use_alter", False)]
        made.append(create)
        made += [ops.CreateIndexOp.from_index(index) for index in sorted(table.indexes, key=lambda one: str(one.name))]
    return made


def _late_foreign_keys(metadata: sa.MetaData) -> list[ops.MigrateOperation]:
    late = [
        constraint
        for table in metadata.sorted_tables
        for constraint in table.foreign_key_constraints
        if constraint.use_alter
    ]
    return [ops.CreateForeignKeyOp.from_constraint(one) for one in sorted(late, key=lambda one: str(one.name))]


def _code(operations: Any) -> str:
    context = MigrationContext.configure(dialect_name="postgresql")
    # Alembic's own markers ask the reader to adjust the commands; these need no adjustment.
    lines = render_python_code(operations, migration_context=context).splitlines()
    return "\n".join(line for line in lines if not line.strip().startswith("# ###")).strip()
