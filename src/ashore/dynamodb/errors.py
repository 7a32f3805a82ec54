"""What can go wrong between Ashore and DynamoDB or S3. No error holds an item, a key or a credential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ashore.errors import AshoreError


@dataclass(eq=False)
class SourceError(AshoreError):
    """A source of items, a table or an export, could not be read."""

    code: ClassVar[str] = "ASH300"
    exit_code: ClassVar[int] = 2


@dataclass(eq=False)
class ExportNotFound(SourceError):
    """There is no finished export at the path. `started` says that one was begun there."""

    path: str
    started: bool = False

    code: ClassVar[str] = "ASH301"

    def what(self) -> str:
        if self.started:
            return f"{self.path}: the export has begun, but has no manifest-summary.json yet"
        return f"{self.path}: no DynamoDB export here (no manifest-summary.json in it or under AWSDynamoDB/)"

    def hint(self) -> str:
        if self.started:
            return "wait until `aws dynamodb describe-export` says COMPLETED, then copy the folder again"
        return "give the folder AWSDynamoDB/<export id>, the AWSDynamoDB folder or its parent"


@dataclass(eq=False)
class SeveralExports(SourceError):
    """The path holds more than one export, and nothing says which one is meant."""

    path: str
    exports: tuple[str, ...]

    code: ClassVar[str] = "ASH302"

    def what(self) -> str:
        return f"{self.path}: {len(self.exports)} exports here: {', '.join(self.exports)}"

    def hint(self) -> str:
        return "give the path of one of them"


@dataclass(eq=False)
class ExportUnsupported(SourceError):
    """The export is of a kind that does not serve. `kind` names the format, or is what it should not be.

    ``"INCREMENTAL_EXPORT"`` where items are to be loaded, ``"FULL_EXPORT"`` where changes are asked for.
    """

    path: str
    kind: str

    code: ClassVar[str] = "ASH303"

    def what(self) -> str:
        if self.kind == "FULL_EXPORT":
            return f"{self.path}: the export is a full one, which does not say what was deleted"
        return f"{self.path}: the export is {self.kind}, which cannot be loaded"

    def hint(self) -> str:
        if self.kind == "INCREMENTAL_EXPORT":
            return "an incremental export holds only changes: export again with --export-type FULL_EXPORT"
        if self.kind == "FULL_EXPORT":
            return "export the window again with --export-type INCREMENTAL_EXPORT"
        return "export again with --export-format DYNAMODB_JSON"


@dataclass(eq=False)
class ExportDamaged(SourceError):
    """A file of the export is missing, or is not what the manifest says.

    `file` is relative to the export's folder; `line` counts from 1. None of the file's items was handed out if its
    checksum is wrong; items before a broken line may have been.
    """

    path: str
    file: str
    problem: str
    line: int | None = None

    code: ClassVar[str] = "ASH304"
    exit_code: ClassVar[int] = 3

    def what(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        return f"{self.path}: {self.file}{line}: {self.problem}"

    def hint(self) -> str:
        return "copy the export again from its bucket; if it is damaged there too, export the table again"


@dataclass(eq=False)
class StorageFailed(SourceError):
    """S3 or the file system refused a request. `reason` is S3's error code or the system's message."""

    location: str
    action: str
    reason: str

    code: ClassVar[str] = "ASH305"

    def what(self) -> str:
        return f"{self.location}: {self.action} failed: {self.reason}"

    def hint(self) -> str:
        if self.location.startswith("s3://"):
            return f"check the bucket's name, its region and the IAM permission {self.action} on this path"
        return "check that the folder is there and can be read"


@dataclass(eq=False)
class AccessDenied(SourceError):
    """IAM does not allow a request. `action` is the IAM action, `principal` who asked, where DynamoDB says so."""

    action: str
    resource: str
    principal: str | None = None

    code: ClassVar[str] = "ASH310"

    def what(self) -> str:
        who = "these credentials" if self.principal is None else self.principal
        return f"{who} may not {self.action} on {self.resource}"

    def hint(self) -> str:
        return f"allow {self.action} on {self.resource}; `ashore check` prints the whole policy"


@dataclass(eq=False)
class TableNotFound(SourceError):
    """There is no such table in this region and account."""

    table: str
    endpoint: str

    code: ClassVar[str] = "ASH311"

    def what(self) -> str:
        return f"no table {self.table!r} at {self.endpoint}"

    def hint(self) -> str:
        return "check the table's name, the region and the profile"


@dataclass(eq=False)
class CredentialsRefused(SourceError):
    """There are no AWS credentials, or AWS does not take them. `reason` is AWS's error type."""

    reason: str

    code: ClassVar[str] = "ASH312"

    def what(self) -> str:
        return f"AWS credentials: {self.reason}"

    def hint(self) -> str:
        if "Signature" in self.reason or "Skew" in self.reason:
            return "check this machine's clock and the secret key"
        return "sign in again (`aws sso login`), or check the profile; `aws sts get-caller-identity` shows who you are"


@dataclass(eq=False)
class Throttled(SourceError):
    """DynamoDB throttled a request again and again until the time for it was over. Nothing is lost: resume."""

    operation: str
    table: str
    attempts: int
    seconds: float

    code: ClassVar[str] = "ASH313"

    def what(self) -> str:
        return f"{self.operation} on {self.table} was throttled {self.attempts} times in {self.seconds:.0f} seconds"

    def hint(self) -> str:
        return "set a lower --read-units or raise the table's read capacity, then start again: it goes on where it was"


@dataclass(eq=False)
class Unreachable(SourceError):
    """DynamoDB did not answer, or not with a whole answer, until the time for it was over. Nothing is lost: resume."""

    operation: str
    endpoint: str
    attempts: int
    reason: str

    code: ClassVar[str] = "ASH314"

    def what(self) -> str:
        times = "once" if self.attempts == 1 else f"{self.attempts} times, the last time"
        return f"{self.operation} at {self.endpoint} failed {times} with: {self.reason}"

    def hint(self) -> str:
        return "check the network, the endpoint and the region, then start again: it goes on where it was"


@dataclass(eq=False)
class RequestRefused(SourceError):
    """DynamoDB refused a request for a reason that trying again does not mend."""

    operation: str
    table: str
    reason: str
    request_id: str | None = None

    code: ClassVar[str] = "ASH315"

    def what(self) -> str:
        request = "" if self.request_id is None else f" (request {self.request_id})"
        return f"{self.operation} on {self.table} was refused: {self.reason}{request}"

    def hint(self) -> str:
        return "check the settings of the source; if they are right, please report this with the request's id"


@dataclass(eq=False)
class SourceChanged(SourceError):
    """A unit or a position does not belong to this source: it was stored for another one."""

    unit: str
    problem: str

    code: ClassVar[str] = "ASH316"

    def what(self) -> str:
        return f"unit {self.unit}: {self.problem}"

    def hint(self) -> str:
        return "start the load anew, or give the source that it began with"


@dataclass(eq=False)
class Trimmed(SourceError):
    """Records of a shard between the place asked for and the oldest kept one are gone."""

    shard: str

    code: ClassVar[str] = "ASH317"

    def what(self) -> str:
        return f"records of shard {self.shard} left the stream before they were read"

    def hint(self) -> str:
        return "DynamoDB keeps a stream for 24 hours: what is missing has to be read from the table"


@dataclass(eq=False)
class ShardGone(SourceError):
    """There is no such shard in the stream any more."""

    shard: str

    code: ClassVar[str] = "ASH318"

    def what(self) -> str:
        return f"shard {self.shard} is no longer in the stream"

    def hint(self) -> str:
        return "DynamoDB keeps a stream for 24 hours: what is missing has to be read from the table"


@dataclass(eq=False)
class IteratorExpired(SourceError):
    """An iterator was not used for some minutes; a new one goes on at the same place."""

    code: ClassVar[str] = "ASH319"

    def what(self) -> str:
        return "an iterator of a shard has expired"

    def hint(self) -> str:
        return "run the same command again: it goes on where it was"


@dataclass(eq=False)
class NoImages(SourceError):
    """A record of the stream says that an item was written, and not what it is."""

    table: str

    code: ClassVar[str] = "ASH320"

    def what(self) -> str:
        return f"the stream of {self.table} has records without the item that was written"

    def hint(self) -> str:
        return "give the stream the view NEW_AND_OLD_IMAGES, and begin anew: what was written before is not in it"
