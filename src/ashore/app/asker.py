"""The thread that asks the ledger: ahead of time while somebody uses the answers, at once when somebody waits."""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future
from typing import Final

from ashore.app.answer import Answer, next_pause, refresh_seconds
from ashore.app.clock import Clock, Instant
from ashore.app.connecting import Connect, open_connection, reason
from ashore.ledger.crossing import routes
from ashore.postgres.connect import Conn

_JITTER: Final = 0.1
_CLOSE_SECONDS: Final = 5.0
SLOW_SECONDS: Final = 1.0
"""A question that has had no answer for so long may never have one, as where packets are dropped."""


class Asker:
    """Asks for the routes of a source over a connection of its own.

    Guarantees:
        - `latest` is the newest answer that came, with the moment before its question was sent.
        - Whoever takes `following` before looking at `latest` is told of every later one.
        - The thread starts with the first `want` and outlives nothing; after a fork the child's own is started.
        - While nobody uses the answers it closes its connection and asks nothing.
    """

    def __init__(self, source: str, how: Connect, *, write_seconds: float, idle_seconds: float, clock: Clock) -> None:
        self.latest: Answer | None = None
        self.failure: str | None = None
        self.is_used = False
        self._source = source
        self._how = how
        self._write_seconds = write_seconds
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._not_before = clock()
        self._conn: Conn | None = None
        self._left_by_parent: list[Conn | None] = []
        self._begin()

    def _begin(self) -> None:
        self.following: Future[None] = Future()
        self._wanted = threading.Event()
        self._ended = threading.Event()
        self._asking_since: Instant | None = None
        self._starting = threading.Lock()
        self._publishing = threading.Lock()
        self._thread: threading.Thread | None = None

    def after_fork(self) -> None:
        """Forget the parent's thread and connection; what it was told stays valid for as long as it is."""
        self._left_by_parent.append(self._conn)  # to close it here would end the parent's session
        self._conn = None
        self._begin()

    def is_unreachable(self) -> bool:
        """Whether the last question failed, or the one under way has had no answer for `SLOW_SECONDS`."""
        since = self._asking_since
        return self.failure is not None or (since is not None and since.age(self._clock()) > SLOW_SECONDS)

    def want(self) -> None:
        """Have the ledger asked as soon as possible; `following` is done once it was."""
        self.is_used = True
        with self._starting:
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._ask_again_and_again, name="ashore-routes", daemon=True)
                self._thread.start()
        self._wanted.set()

    def forget(self) -> None:
        """Let no answer count that was asked for before now."""
        with self._publishing:
            self._not_before = self._clock()
            self.latest = None

    def close(self) -> None:
        """End the thread and its connection; a question under way is waited for, some seconds at most."""
        self._ended.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _ask_again_and_again(self) -> None:
        used_at, pause = self._clock(), 0.0
        while not self._ended.is_set():
            self._wanted.clear()
            answer = self._ask()
            pause = next_pause(pause, answer)
            self._publish(answer)
            self._ended.wait(pause)
            if self.is_used:
                self.is_used, used_at = False, self._clock()
            self._wait(answer, used_at)
        self._disconnect()

    def _wait(self, answer: Answer | None, used_at: Instant) -> None:
        if used_at.age(self._clock()) > self._idle_seconds:
            self._disconnect()
            self._wanted.wait()
        elif answer is not None:
            due = refresh_seconds(answer.validity_seconds, self._write_seconds) * random.uniform(1 - _JITTER, 1)  # noqa: S311 (spreads questions)
            self._wanted.wait(max(0.0, due - answer.asked_at.age(self._clock())))

    def _ask(self) -> Answer | None:
        self._asking_since = self._clock()
        try:
            conn = self._conn = self._conn or open_connection(self._how)
            with conn.transaction():
                asked_at = self._clock()
                answer = Answer(source=self._source, asked_at=asked_at, routes=routes(conn, self._source))
        except Exception as error:  # noqa: BLE001 (the application's own way to connect may raise anything)
            self.failure = reason(error)
        else:
            self.failure = None
            return answer
        finally:
            self._asking_since = None
        self._disconnect()
        return None

    def _publish(self, answer: Answer | None) -> None:
        with self._publishing:
            if answer is not None and answer.asked_at.steady >= self._not_before.steady:
                self.latest = answer
        told, self.following = self.following, Future()
        told.set_result(None)

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None
