"""What is asked of OpenSearch: bulk writes with external versions, versions, and whether an index is there.

Source: https://docs.opensearch.org/latest/api-reference/document-apis/bulk/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opensearchpy import OpenSearch, helpers
from opensearchpy.exceptions import OpenSearchException, TransportError

from ashore.opensearch.actions import Action, Conflict, Done, Later, Outcome, Refused
from ashore.opensearch.errors import IndexMissing, SearchError, SearchForbidden, SearchUnreachable

MOST_BYTES: Final = 4_000_000
"""Of one request: AWS takes 10 MB on its smallest instances.

Source: https://docs.aws.amazon.com/opensearch-service/latest/developerguide/limits.html
"""
_FORBIDDEN: Final = frozenset({401, 403})
_TOO_LARGE: Final = 413
_GC_DELETES_SECONDS: Final = 60.0
_field: Final = re.compile(r"field \[([\w.@-]{1,200})\]")
_duration: Final = re.compile(r"(\d+(?:\.\d+)?)(nanos|micros|ms|s|m|h|d)")
_units: Final = {"nanos": 1e-9, "micros": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchIndex:
    """An OpenSearch, asked by a client of `open_client`."""

    client: OpenSearch
    endpoint: str
    most_bytes: int = MOST_BYTES

    def write(self, actions: Sequence[Action], may_begin: Callable[[], bool]) -> list[Outcome]:
        """Do what is to be done, in requests of at most `most_bytes`; return an outcome for each, in order.

        `may_begin` is asked before each request; from the first False on, nothing more is sent.

        Raises:
            SearchForbidden: Nothing can be done as this caller.
        """
        outcomes: list[Outcome] = []
        for chunk in _chunks(actions, self.most_bytes):
            if not may_begin():
                break
            outcomes += self._bulk(chunk)
        outcomes += [Later("no time was left")] * (len(actions) - len(outcomes))
        return outcomes

    def versions(self, documents: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """(index, id) → version, as of now, of those that are there. A deleted document has none.

        Raises:
            SearchUnreachable, SearchForbidden
        """
        if not documents:
            return {}
        wanted = [{"_index": index, "_id": one, "_source": False} for index, one in documents]
        with_docs = self._asked(lambda: self.client.mget(body={"docs": wanted}))
        found = zip(documents, with_docs["docs"], strict=True)
        return {document: int(one["_version"]) for document, one in found if one.get("found")}

    def is_there(self, index: str) -> bool:
        """Whether there is such an index or alias. Raises SearchUnreachable, SearchForbidden."""
        return bool(self._asked(lambda: self.client.indices.exists(index=index)))

    def assert_there(self, index: str) -> None:
        """Do nothing where there is such an index or alias.

        Raises:
            IndexMissing, SearchUnreachable, SearchForbidden
        """
        if not self.is_there(index):
            raise IndexMissing(index=index, endpoint=self.endpoint)

    def gc_deletes_seconds(self, index: str) -> float:
        """For how long the index remembers the version of a deleted document.

        Source: https://docs.opensearch.org/latest/install-and-configure/configuring-opensearch/index-settings/
        """
        name = "index.gc_deletes"
        found = self._asked(
            lambda: self.client.indices.get_settings(index=index, name=name, flat_settings=True, include_defaults=True)
        )
        said = [one.get(part, {}).get(name) for one in found.values() for part in ("settings", "defaults")]
        seconds = [_seconds(one) for one in said if one]
        return min(seconds, default=_GC_DELETES_SECONDS)

    def error(self, error: OpenSearchException) -> SearchError:
        """What a failed request means."""
        status = error.status_code if isinstance(error, TransportError) else None
        if status in _FORBIDDEN:
            return SearchForbidden(endpoint=self.endpoint, status=int(status))
        return SearchUnreachable(endpoint=self.endpoint, reason=_kind(error))

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except OpenSearchException as error:
            raise self.error(error) from None

    def _bulk(self, chunk: Sequence[Action]) -> list[Outcome]:
        results = helpers.streaming_bulk(
            self.client,
            map(self._expanded, chunk),
            chunk_size=len(chunk),
            max_chunk_bytes=2 * self.most_bytes + len(chunk) * 2_000,  # it is one already
            raise_on_error=False,
            raise_on_exception=False,
        )
        try:
            return [self._outcome(info) for _, answer in results for info in answer.values()]
        except OpenSearchException as error:  # an answer that cannot be read: nobody knows what was done
            return [Later(_kind(error))] * len(chunk)

    def _outcome(self, info: dict[str, Any]) -> Outcome:
        status, failed, error = info.get("status"), info.get("exception"), info.get("error")
        if failed is not None:
            if status in _FORBIDDEN:
                raise self.error(failed)
            return Later(_kind(failed), is_too_large=status == _TOO_LARGE)
        if isinstance(error, dict) and error.get("type") == "security_exception":
            raise SearchForbidden(endpoint=self.endpoint, status=int(status or 0))
        return _judge(int(status or 0), info)

    @staticmethod
    def _expanded(one: Action) -> dict[str, Any]:
        about = {"_index": one.index, "_id": one.id, "version": one.version, "version_type": "external"}
        if one.source is None:
            return about | {"_op_type": "delete"}
        return about | {"_op_type": "index", "_source": one.source.decode()}


def _judge(status: int, info: dict[str, Any]) -> Outcome:
    """What an item's answer says. A deletion of what is not there is 404, and done: the index notes its version."""
    if 200 <= status < 300 or (status == 404 and info.get("result") == "not_found"):
        return Done()
    if status == 409:
        return Conflict()
    error = info.get("error")
    kind = error.get("type", "error") if isinstance(error, dict) else "error"
    if 400 <= status < 500 and status not in {404, 429, *_FORBIDDEN}:
        reason = str(error.get("reason", "")) if isinstance(error, dict) else ""
        named = _field.search(reason)
        return Refused(f"{status} {kind}" + (f" (field {named[1]})" if named else ""))
    return Later(f"{status} {kind}")


def _chunks(actions: Sequence[Action], most_bytes: int) -> Iterator[list[Action]]:
    """As many at once as have at most so many bytes of documents, one at least."""
    chunk: list[Action] = []
    size = 0
    for one in actions:
        more = len(one.source or b"")
        if chunk and size + more > most_bytes:
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += more
    if chunk:
        yield chunk


def _kind(error: OpenSearchException) -> str:
    """What kind of failure: never its text, which may quote a document."""
    status = error.status_code if isinstance(error, TransportError) else None
    if isinstance(status, int):
        return f"{type(error).__name__} {status}"
    cause = error.info if isinstance(error, TransportError) else None
    return f"{type(error).__name__} ({type(cause).__name__})" if isinstance(cause, Exception) else type(error).__name__


def _seconds(text: str) -> float:
    found = _duration.fullmatch(str(text))
    return _GC_DELETES_SECONDS if found is None else float(found[1]) * _units[found[2]]
