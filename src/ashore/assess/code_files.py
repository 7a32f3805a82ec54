"""The files of a folder of source code, without what is ignored, fetched, generated or binary."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

LARGEST: Final = 1_000_000
"""Bytes of a file that is read; longer ones are data or generated."""

_never: Final = frozenset(
    {".git", ".hg", ".svn", ".venv", "venv", "node_modules", "vendor", "__pycache__", "dist", "build", "target"}
)


def source_files(folder: Path) -> Iterator[tuple[str, str]]:
    """Names from the folder, and texts. Links are not followed; what cannot be read as UTF-8 is passed over.

    Of .gitignore files, that of the folder itself is held.
    """
    ignored = _ignored(folder)
    for home, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _never)
        for name in sorted(names):
            path = Path(home) / name
            shown = path.relative_to(folder).as_posix()
            if path.is_symlink() or ignored.match_file(shown):
                continue
            text = _text(path)
            if text is not None:
                yield shown, text


def _ignored(folder: Path) -> GitIgnoreSpec:
    try:
        lines = (folder / ".gitignore").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return GitIgnoreSpec.from_lines(lines)


def _text(path: Path) -> str | None:
    try:
        if path.stat().st_size > LARGEST:
            return None
        content = path.read_bytes()
        return None if b"\0" in content else content.decode()
    except (OSError, UnicodeDecodeError):
        return None
