"""PostgreSQL refuses to run as root: who it runs as instead, and which folders that user can enter."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ashore.local.errors import FolderUnreachable

LONGEST_SOCKET_FOLDER = 80
"""Characters: the path of a Unix socket has at most 103 bytes on macOS (107 on Linux) and needs a file name.

Source: https://man7.org/linux/man-pages/man7/unix.7.html (`sun_path`)
"""


@dataclass(frozen=True, slots=True)
class ServerUser:
    """A user without rights, for root to run a server as."""

    name: str
    uid: int
    gid: int

    def can_enter(self, folder: Path) -> bool:
        """Whether this user may go through every folder on the way to `folder` and into it.

        Goes by the permissions of others and of the owner; groups and access lists are not looked at, so a folder that
        they alone open counts as closed.
        """
        resolved = folder.resolve()
        return all(self._may_pass(part.stat()) for part in (resolved, *resolved.parents))

    def _may_pass(self, status: os.stat_result) -> bool:
        bit = stat.S_IXUSR if status.st_uid == self.uid else stat.S_IXOTH
        return bool(status.st_mode & bit)

    def own(self, folder: Path) -> None:
        """Make this user the owner of `folder`, which has to be empty or theirs."""
        if not self.can_enter(folder.parent):
            raise FolderUnreachable(folder=folder.parent, user=self.name)
        os.chown(folder, self.uid, self.gid)


def server_user(data: Path | None) -> ServerUser | None:
    """Return the user to run a server as, None for the one who is running this.

    Root runs it as the owner of an existing data folder, else as `nobody`, whom Linux and macOS both have.
    """
    if os.geteuid() != 0:
        return None
    if data is not None and data.exists() and data.stat().st_uid != 0:
        entry = pwd.getpwuid(data.stat().st_uid)
    else:
        entry = pwd.getpwnam("nobody")
    return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def make_work_folder(user: ServerUser | None) -> Path:
    """Make a new folder for a server, with a folder `server` in it that only the server's user can enter.

    The path of `server` is short enough for a Unix socket in it. What root puts beside it stays root's.
    """
    for base in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108 a new folder is made there
        if len(str(base / "ashore-12345678" / "server")) > LONGEST_SOCKET_FOLDER:
            continue
        if user is not None and not user.can_enter(base):
            continue
        work = Path(tempfile.mkdtemp(prefix="ashore-", dir=base))
        server = work / "server"
        server.mkdir(mode=0o700)
        if user is not None:
            work.chmod(0o711)
            user.own(server)
        return work
    raise FolderUnreachable(folder=base, user=user.name if user else pwd.getpwuid(os.geteuid()).pw_name)


def reachable_programs(bin_dir: Path, user: ServerUser | None, work: Path) -> Path:
    """Return `bin_dir`, or a copy in `work` where the user cannot enter it (a checkout in root's home).

    The copy holds the programs, libraries and shared files of a server, some 30 MB, and goes with `work`. The libraries
    that a wheel brings lie outside of the installation, where its programs look for them by relative path.
    """
    if user is None or user.can_enter(bin_dir):
        return bin_dir
    installed, package = bin_dir.parent, bin_dir.parents[1]
    copy = work / "programs"
    home = copy / package.name / installed.name
    (home / "bin").mkdir(parents=True)
    for program in ("initdb", "postgres", "pg_basebackup"):
        if (bin_dir / program).exists():
            shutil.copy2(bin_dir / program, home / "bin")
    for folder in (
        installed / "lib",
        installed / "share",
        package / ".dylibs",
        package.with_name(f"{package.name}.libs"),
    ):
        if folder.is_dir():
            shutil.copytree(folder, copy / folder.relative_to(package.parent), symlinks=True)
    for path in (copy, *copy.rglob("*")):
        if not path.is_symlink():
            may_run = path.is_dir() or path.parent == home / "bin"
            path.chmod(0o755 if may_run else 0o644)
    return home / "bin"
