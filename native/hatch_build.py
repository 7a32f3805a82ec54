"""Builds the crate with cargo, and takes its library into the wheel."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_TARGETS: Final = {"arm64": "aarch64-apple-darwin", "x86_64": "x86_64-apple-darwin"}
_NAMES: Final = ("libashore_native.so", "libashore_native.dylib")


class CargoHook(BuildHookInterface[Any]):
    """A wheel for one system and any Python: the library knows nothing of Python."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run cargo; `version` is "editable" or "standard", and both need the library."""
        del version
        root = Path(self.root)
        command = ["cargo", "build", "--release", "--offline", "--manifest-path", str(root / "Cargo.toml")]
        folder = root / "target"
        arch = _mac_arch()
        if arch is not None:
            command += ["--target", _TARGETS[arch]]
            folder /= _TARGETS[arch]
        subprocess.run(command, check=True)
        library = next(path for name in _NAMES if (path := folder / "release" / name).exists())
        build_data["force_include"][str(library)] = f"ashore_native/{library.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform()}"


def _mac_arch() -> str | None:
    """What cibuildwheel builds for on macOS, where it may be another processor than this one."""
    flags = os.environ.get("ARCHFLAGS", "").split()
    return flags[-1] if flags and flags[-1] in _TARGETS else None


def _platform() -> str:
    """As wheels name it; auditwheel and delocate make the release's out of it."""
    named = os.environ.get("_PYTHON_HOST_PLATFORM") or sysconfig.get_platform()
    return named.replace("-", "_").replace(".", "_")
