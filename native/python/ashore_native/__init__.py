"""The native part of Ashore: a shared library, which `ashore` finds here and calls by ctypes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

library: Final = next(iter(Path(__file__).parent.glob("*ashore_native.*")), Path(__file__).parent / "missing")
"""The shared library. What it offers is in ``native/src/boundary.rs`` of Ashore's repository."""
