"""Runs one server, and ends it when the process that asked for it ends, however that came about.

Started by `ashore.local.process` as a program of its own, outside of the caller's terminal session: neither `atexit`
nor a `finally` runs in a process that was killed. It uses the standard library alone, so that it is up in some 20 ms.

Stdin and stdout are one socket to the caller. From it comes one line with a JSON object (`Order`), then commands, one
a line: `stop`, `stop SIGNAL` or `restart SIGNAL`. Its end, or a new parent process, stops the server with the first of
`stop_signals`, as `stop` does. To it go JSON objects, one a line: `{"pid": …}` whenever the server was started,
`{"failed": code}` where `prepare` did not succeed, `{"ended": code}` where the server ended unasked. Whatever this
program and the server have to say goes to stderr, which the caller points at a log.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
from typing import TypedDict

PARENT_CHECK_SECONDS = 0.2
"""A child that the caller forked keeps the socket open, so its end is not the only sign that is looked for."""


class Order(TypedDict):
    """What to run.

    Attributes:
        prepare: A command to run to its end first; empty for none. A failure ends everything.
        command: The server, which must stay in the foreground.
        folder: Current folder of both.
        environment: All environment variables of both.
        user: Numbers of the user and the group to run both as; None for the same as this process.
        stop_signals: Names, gentle to harsh, each tried for `grace_seconds`; SIGKILL comes after the last.
        remove: Folder to remove at the end; None for none.
        parent: Process whose end is the end of the server.
    """

    prepare: list[str]
    command: list[str]
    folder: str
    environment: dict[str, str]
    user: tuple[int, int] | None
    stop_signals: list[str]
    grace_seconds: float
    remove: str | None
    parent: int


class Supervisor:
    """One server and the watch over it."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.asked: tuple[str, str] | None = None
        """The verb and the signal that were asked for and not yet done."""
        self._stop = ("stop", order["stop_signals"][0])
        signal.signal(signal.SIGTERM, self._on_terminate)

    def _on_terminate(self, _number: int, _frame: object) -> None:
        self.asked = self._stop

    def run(self) -> None:
        """Prepare, serve until told to stop, remove."""
        try:
            if self._prepare():
                self._serve()
            while self.asked is None:
                self._listen()  # the caller reads the log before the folder goes
        finally:
            if self.order["remove"]:
                shutil.rmtree(self.order["remove"], ignore_errors=True)

    def _prepare(self) -> bool:
        if not self.order["prepare"]:
            return True
        code = self._run_until_asked(self._start(self.order["prepare"]))
        if code == 0 and self.asked is None:
            return True
        answer({"failed": code})
        return False

    def _serve(self) -> None:
        """Run the server, again as often as asked, until asked to stop."""
        while True:
            server = self._start(self.order["command"])
            answer({"pid": server.pid})
            code = self._run_until_asked(server)
            if self.asked is None:
                answer({"ended": code})
            while self.asked is None:
                self._listen()
            if self.asked[0] == "stop":
                return
            self.asked = None

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        user, group = self.order["user"] or (None, None)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=2,
            stderr=2,
            cwd=self.order["folder"],
            env=self.order["environment"],
            user=user,
            group=group,
            extra_groups=None if user is None else [],
            umask=0o077,
        )

    def _listen(self) -> None:
        """Wait a moment for the caller to ask for something, or to come to its end."""
        readable, _, _ = select.select([0], [], [], PARENT_CHECK_SECONDS)
        if readable:
            verb, _, name = os.read(0, 64).decode("ascii").strip().partition(" ")
            self.asked = (verb, name) if name else self._stop
        elif os.getppid() != self.order["parent"]:
            self.asked = self._stop

    def _run_until_asked(self, child: subprocess.Popen[bytes]) -> int:
        """Wait until the child has ended, by itself or because it was asked to; return its exit code."""
        while child.poll() is None and self.asked is None:
            self._listen()
        for name in self._escalation():
            if child.poll() is None:
                child.send_signal(signal.Signals[name])
                try:
                    child.wait(self.order["grace_seconds"])
                except subprocess.TimeoutExpired:
                    continue
        return child.wait()

    def _escalation(self) -> list[str]:
        """The signals to stop with, in turn, beginning with the one that was asked for."""
        known = self.order["stop_signals"]
        _, first = self.asked or self._stop
        return [*known[known.index(first) :], "SIGKILL"] if first in known else [first, "SIGKILL"]


def answer(message: dict[str, int]) -> None:
    """Tell the caller, who may have ended by now: then `_listen` is about to notice."""
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        return


def main() -> None:
    """Read the order, then carry it out."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return
        line += byte
    Supervisor(json.loads(line)).run()


if __name__ == "__main__":
    main()
