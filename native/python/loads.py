"""Whether the library of an installed wheel loads; cibuildwheel runs it."""

from __future__ import annotations

import ctypes

from ashore_native import library

ctypes.CDLL(str(library)).ashore_version()
