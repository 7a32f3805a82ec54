"""Loading a declaration by its name, in this process or in a worker's."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

from ashore.errors import AshoreError
from ashore.mapping.declare import Source
from ashore.mapping.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReference:
    """Where a declaration is: what a worker process needs to load it again.

    `declarations` is ``"package.module:attribute"``; `folder` is the project's directory, put first on `sys.path`,
    or None where the module can be imported as it is.
    """

    declarations: str
    folder: Path | None = None


@dataclass(eq=False, kw_only=True)
class DeclarationNotFoundError(AshoreError):
    """`declarations` does not lead to a `Source` or a `Plan`."""

    declarations: str
    folder: str
    found: str

    code = "ASH111"
    exit_code = 2

    def what(self) -> str:
        """What was looked for, where, and what was there."""
        return f"declarations {self.declarations!r} in {self.folder}: {self.found}"

    def hint(self) -> str:
        """What it should be."""
        return 'name a module and the Source in it, as in declarations = "court:court"'


def load_plan(reference: PlanReference) -> Plan:
    """Import the declaration and compile it; a second call for the same module compiles, but does not import, again.

    Raises:
        DeclarationNotFoundError: There is no such module or attribute, or it is something else.
        DeclarationError: The declaration has problems.
    """
    module_name, _, attribute = reference.declarations.partition(":")
    folder = str(reference.folder or Path.cwd())

    def not_found(found: str) -> DeclarationNotFoundError:
        return DeclarationNotFoundError(declarations=reference.declarations, folder=folder, found=found)

    if not module_name or not attribute:
        raise not_found("is not of the form module:attribute")
    if reference.folder is not None and folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise not_found(f"there is no module {error.name!r}") from None
    declared = getattr(module, attribute, None)
    match declared:
        case Plan():
            return declared
        case Source():
            return declared.compile()
        case _:
            raise not_found(f"{attribute!r} is {'missing' if declared is None else 'a ' + type(declared).__name__}")
