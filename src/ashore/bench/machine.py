"""What a figure was measured on: without it, it says nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any, Final

import ashore
from ashore.local.postgres import LocalPostgres

_packages: Final = ("msgspec", "psycopg", "isal", "sqlalchemy")


def versions(server: LocalPostgres | str) -> dict[str, str]:
    """The versions of all that takes part; of a server that is not this machine's own, its version is handed over."""
    return {
        "ashore": ashore.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "postgres": server if isinstance(server, str) else server.version,
        **{name: importlib.metadata.version(name) for name in _packages},
    }


def machine() -> dict[str, Any]:
    """The processor, its cores that this process may use, memory and system."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "model": _model(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    """The commit of the checkout that this package is run from; "unknown" for an installed one."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            check=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
