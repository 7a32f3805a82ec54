"""What keeps Ashore from feeding an index. The entries of the outbox stay until they are fed."""

from __future__ import annotations

from dataclasses import dataclass

from ashore.errors import AshoreError


class SearchError(AshoreError):
    """The root of this module's errors."""

    code = "ASH860"


@dataclass(eq=False, kw_only=True)
class SearchNotConfigured(SearchError):
    """The settings, or this environment, do not say how to reach OpenSearch."""

    missing: str
    way: str

    code = "ASH861"
    exit_code = 2

    def what(self) -> str:
        return f"OpenSearch cannot be asked: {self.missing}"

    def hint(self) -> str:
        return self.way


@dataclass(eq=False, kw_only=True)
class SearchUnreachable(SearchError):
    """OpenSearch did not answer, or answered that it has too much to do."""

    endpoint: str
    reason: str

    code = "ASH862"

    def what(self) -> str:
        return f"OpenSearch at {self.endpoint} does not answer: {self.reason}"

    def hint(self) -> str:
        return "nothing is lost: what it did not take stays in the outbox. Run the command again once it answers"


@dataclass(eq=False, kw_only=True)
class SearchForbidden(SearchError):
    """OpenSearch refuses the caller."""

    endpoint: str
    status: int

    code = "ASH863"
    exit_code = 2

    def what(self) -> str:
        return f"OpenSearch at {self.endpoint} refuses the caller ({self.status})"

    def hint(self) -> str:
        return (
            "allow it es:ESHttpGet, es:ESHttpHead and es:ESHttpPost on the domain, or give the user a role that may"
            " read and write the index; see `opensearch_iam` and `opensearch_login_env` in"
            " docs/reference/configuration.md"
        )


@dataclass(eq=False, kw_only=True)
class IndexMissing(SearchError):
    """An index that is to be fed is not there. Ashore makes none: its mapping is yours."""

    index: str
    endpoint: str

    code = "ASH864"
    exit_code = 3

    def what(self) -> str:
        return f"OpenSearch at {self.endpoint} has no index {self.index!r}"

    def hint(self) -> str:
        return "create it with its mapping and settings, and run the command again"


@dataclass(eq=False, kw_only=True)
class NotFed(SearchError):
    """A command needs entities whose index Ashore feeds."""

    entities: tuple[str, ...]

    code = "ASH865"
    exit_code = 3

    def what(self) -> str:
        return f"Ashore does not feed an index with {', '.join(self.entities)}"

    def hint(self) -> str:
        return "switch the old feed off and run `ashore index begin`"


@dataclass(eq=False, kw_only=True)
class StillFeeding(SearchError):
    """The feed was ended, and a request of it may be under way still."""

    entities: tuple[str, ...]
    seconds: float

    code = "ASH866"
    exit_code = 1

    def what(self) -> str:
        return (
            f"a feeder may have a request for {', '.join(self.entities)} under way, {self.seconds:.0f} s after the end"
        )

    def hint(self) -> str:
        return "the feed is off; run the same command again before the old feed is switched on"
