"""What the project says of itself agrees with itself."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements() -> list[str]:
    project = PYPROJECT["project"]
    return [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]


def pinned(file: str) -> dict[str, str]:
    lines = (PROJECT / file).read_text(encoding="utf-8").splitlines()
    return {normal(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def lower_bounds() -> dict[str, str]:
    bounds = {}
    for requirement in requirements():
        found = re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?>=([\d.]+)", requirement)
        assert found, f"{requirement}: a name, extras and a lower bound, no more"
        bounds[normal(found[1])] = found[2]
    return bounds


def test_the_oldest_versions_that_are_tested_are_the_lower_bounds() -> None:
    oldest = pinned("constraints-oldest.txt")
    for name, bound in lower_bounds().items():
        padded = [*parts(bound), 0, 0][:3]
        assert padded == [*parts(oldest[name]), 0, 0][:3], name


def test_the_lock_holds_every_requirement_at_or_above_its_bound() -> None:
    lock = pinned("constraints.txt")
    for name, bound in lower_bounds().items():
        assert parts(bound) <= parts(lock[name]), name
