"""What keeps a cutover from beginning, or ends it. Writes are open again after each of them."""

from __future__ import annotations

from dataclasses import dataclass

from ashore.errors import AshoreError


class CutoverError(AshoreError):
    """The root of this module's errors."""

    code = "ASH850"
    exit_code = 3


@dataclass(eq=False, kw_only=True)
class GatesClosed(CutoverError):
    """One or more gates do not hold. Nothing was changed."""

    doing: str
    closed: tuple[tuple[str, str, str], ...]

    code = "ASH851"

    def what(self) -> str:
        lines = "".join(f"\n  {name}: {found}; {way}" for name, found, way in self.closed)
        return f"{self.doing} is refused, {len(self.closed)} gate(s) are closed:{lines}"

    def hint(self) -> str:
        return "open each of them, and run the command again"


@dataclass(eq=False, kw_only=True)
class TookTooLong(CutoverError):
    """The pause would have become longer than it may be: the entities are where they were, and writes are open."""

    doing: str
    seconds: float
    waited_for: str

    code = "ASH852"

    def what(self) -> str:
        return f"{self.doing} was given up after {self.seconds:.1f} s of pause: {self.waited_for}"

    def hint(self) -> str:
        return (
            "writes go where they went before. See what it waited for in `ashore status`; a rehearsal says how long"
            " the pause will be, and --max-pause how long it may be"
        )


@dataclass(eq=False, kw_only=True)
class RoleMayStillWrite(CutoverError):
    """Taking a role's privileges away does not keep it from writing. Nothing was changed."""

    role: str
    table: str

    code = "ASH853"

    def what(self) -> str:
        return f"role {self.role} can write to {self.table} even without privileges of its own"

    def hint(self) -> str:
        return (
            "it owns the table, is a superuser, has a privilege on a column, or has one through another role or"
            " PUBLIC: mend that, or name no roles, so that a trigger guards the table"
        )


@dataclass(eq=False, kw_only=True)
class NotOneGroup(CutoverError):
    """Writes of entities that one transaction touches move together. Nothing was changed."""

    named: tuple[str, ...]
    missing: tuple[str, ...]

    code = "ASH854"
    exit_code = 2

    def what(self) -> str:
        return f"{', '.join(self.named)} cannot move without {', '.join(self.missing)}: they are declared together"

    def hint(self) -> str:
        return "name all of them"


@dataclass(eq=False, kw_only=True)
class KeptItemsMissing(CutoverError):
    """A file that deleted items were kept in is not there whole any more. Nothing more was deleted."""

    path: str
    expected: int
    found: int

    code = "ASH855"

    def what(self) -> str:
        return f"{self.path} should have {self.expected:,} bytes by now, and has {self.found:,}"

    def hint(self) -> str:
        return "put the file back where it was, from wherever it went, and run the same command again"


@dataclass(eq=False, kw_only=True)
class PurgeNotConfirmed(CutoverError):
    """What is to be deleted was not named. Nothing was deleted."""

    expected: str

    code = "ASH856"
    exit_code = 2

    def what(self) -> str:
        return f"the purge was not confirmed: {self.expected!r} had to be typed"

    def hint(self) -> str:
        return "type it as it stands there; where nobody can type, say --yes"


@dataclass(eq=False, kw_only=True)
class OtherPurgeUnfinished(CutoverError):
    """A purge that was begun has to be ended first, as it was begun. Nothing was deleted."""

    began: str
    differs: str

    code = "ASH857"

    def what(self) -> str:
        return f"the purge of {self.began} is unfinished, and this one has {self.differs}"

    def hint(self) -> str:
        return "run that one again, to its end, with the same entities, the same table and the same --keep-export"


@dataclass(eq=False, kw_only=True)
class PurgeIsRunning(CutoverError):
    """Another process works on this source's purge. Nothing was deleted by this one."""

    source: str

    code = "ASH858"

    def what(self) -> str:
        return f"the purge of {self.source} is being run by another process"

    def hint(self) -> str:
        return "leave it to that one; if it is gone, PostgreSQL notices within a minute"


@dataclass(eq=False, kw_only=True)
class StillWrittenInDynamoDB(CutoverError):
    """Writes that go to DynamoDB are not denied there. Nothing was changed."""

    entities: tuple[str, ...]

    code = "ASH859"

    def what(self) -> str:
        return f"{', '.join(self.entities)}: writes go to DynamoDB, and would be denied there"

    def hint(self) -> str:
        return "cut the writes over first: `ashore cutover writes`"


@dataclass(eq=False, kw_only=True)
class NothingToDeny(CutoverError):
    """IAM cannot tell these entities' writes from those of others. Nothing was changed."""

    reasons: tuple[tuple[str, str], ...]

    code = "ASH873"

    def what(self) -> str:
        lines = "".join(f"\n  {entity}: {why}" for entity, why in self.reasons)
        return f"no write can be denied without denying others:{lines}"

    def hint(self) -> str:
        return "what others write in DynamoDB is found and named: `ashore foreign list`"


@dataclass(eq=False, kw_only=True)
class NoWayBack(CutoverError):
    """Rows of entities were not noted while PostgreSQL took the writes, so DynamoDB lacks them. Nothing was changed."""

    entities: tuple[str, ...]

    code = "ASH874"

    def what(self) -> str:
        return f"there is no way back for {', '.join(self.entities)}: what PostgreSQL was given was not written back"

    def hint(self) -> str:
        return "it was cut over with --no-way-back; DynamoDB has what it had then, and PostgreSQL goes on"
