"""What every error of Ashore keeps to, wherever it is declared."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import re
from collections import Counter

import pytest

import ashore
from ashore.errors import AshoreError, DeclarationError, Problem, SettingsError
from ashore.local.errors import ServerDidNotStart

EXIT_CODES = {1, 2, 3, 4, 70}
"""Findings, configuration, refused by a gate, too many rejected items, a bug."""


def every_error() -> list[type[AshoreError]]:
    """Return every error class of the package, in no order."""
    for module in pkgutil.walk_packages(ashore.__path__, prefix="ashore."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, left = [], [AshoreError]
    while left:
        error = left.pop()
        found.append(error)
        left += error.__subclasses__()
    return [error for error in set(found) if error.__module__.startswith("ashore.")]


def test_no_two_errors_share_a_code() -> None:
    codes = Counter(error.code for error in every_error() if "code" in vars(error))
    assert [] == [code for code, count in codes.items() if count > 1]


def test_codes_and_exit_codes_are_of_the_known_forms() -> None:
    for error in every_error():
        assert re.fullmatch(r"ASH\d{3}", error.code), error
        assert error.exit_code in EXIT_CODES, error


def test_every_error_that_nothing_derives_from_has_a_code_of_its_own() -> None:
    leaves = [error for error in every_error() if not error.__subclasses__()]
    assert [] == [error for error in leaves if "code" not in vars(error)]


def test_every_error_says_what_happened_and_what_to_do() -> None:
    for error in every_error():
        assert error.__doc__, error
        for method in ("what", "hint"):
            declared = [parent for parent in error.__mro__ if method in vars(parent)]
            assert declared[0] is not AshoreError or error is AshoreError or error.__subclasses__(), (error, method)


def test_an_error_is_its_code_what_happened_and_a_hint() -> None:
    error = ServerDidNotStart(server="PostgreSQL 18.6", reason="it ended", log_tail="FATAL: no\nhope")
    expected = "ASH902: PostgreSQL 18.6 did not start: it ended\n  the end of its log:\n    FATAL: no\n    hope"
    assert expected == str(error)


@pytest.mark.parametrize("error", [DeclarationError, SettingsError])
def test_all_problems_are_in_one_error(error: type[DeclarationError | SettingsError]) -> None:
    problems = [Problem(where=f"line {number}", what=f"wrong {number}", hint=f"do {number}") for number in (1, 2)]
    text = str(error(problems))
    assert "2 problems" in text
    for problem in problems:
        assert str(problem) in text
    assert "1 problem\n" in str(error(problems[:1]))


def test_errors_cross_the_border_between_processes() -> None:
    problem = Problem(where="entities.py", what="two entities overlap", hint="narrow one")
    for error in (
        AshoreError(),
        DeclarationError([problem]),
        ServerDidNotStart(server="PostgreSQL", reason="it ended", log_tail=""),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert type(error) is type(copy)
        assert str(error) == str(copy)
