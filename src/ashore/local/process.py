"""A server process that never outlives this process: the caller's side of `ashore.local.supervisor`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ashore.local import supervisor
from ashore.local.errors import ServerDidNotStart

LOG_TAIL_CHARACTERS = 2_000
GRACE_SECONDS = 20.0
"""How long a server may take to stop before it is told again, more harshly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCommand:
    """What `ServerProcess` runs; the fields are explained at `ashore.local.supervisor.Order`."""

    name: str
    command: Sequence[str]
    log: Path
    folder: Path
    stop_signals: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    prepare: Sequence[str] = ()
    user: tuple[int, int] | None = None
    remove: Path | None = None

    def order(self) -> supervisor.Order:
        """Return the same for the supervisor of this process."""
        return supervisor.Order(
            prepare=list(self.prepare),
            command=list(self.command),
            folder=str(self.folder),
            environment=dict(self.environment),
            user=self.user,
            stop_signals=list(self.stop_signals),
            grace_seconds=GRACE_SECONDS,
            remove=str(self.remove) if self.remove else None,
            parent=os.getpid(),
        )


class ServerProcess:
    """A server that was started; it runs, but may not be ready to answer.

    Guarantees:
        - The server ends when this process does, also by SIGKILL; it gets the signals of `stop_signals` in turn.
        - A Ctrl-C in the terminal reaches this process alone: the server runs in a session of its own.
        - The folder `remove` is gone once the server is.

    Raises:
        ServerDidNotStart: `prepare` failed or the program could not be run. Nothing is left running.
    """

    def __init__(self, server: ServerCommand) -> None:
        self.name = server.name
        self._log = server.log
        self._channel, far_end = socket.socketpair()
        with far_end, server.log.open("ab") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__],
                stdin=far_end.fileno(),
                stdout=far_end.fileno(),
                stderr=log,
                start_new_session=True,
            )
        try:
            self._channel.sendall(json.dumps(server.order()).encode() + b"\n")
            self.pid = self._next_pid()
        except BaseException:
            self.stop()
            raise

    @property
    def is_running(self) -> bool:
        """Whether the server has not ended."""
        try:
            self._channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False  # stopped from here, which closed the channel
        return False

    @property
    def log_tail(self) -> str:
        """The last lines of the log; empty where there is none."""
        if not self._log.exists():
            return ""
        return self._log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARACTERS:].strip()

    def restart(self, signal_name: str) -> None:
        """End the server with a signal, unless it has ended, and start it again: `pid` is another one then."""
        self._channel.sendall(f"restart {signal_name}\n".encode())
        self.pid = self._next_pid()

    def stop(self, signal_name: str = "") -> None:
        """Stop the server and wait for its end; no effect on a server that was stopped.

        Args:
            signal_name: The signal to begin with, such as `SIGQUIT`; empty for the first of `stop_signals`.
        """
        if self._supervisor.poll() is None:
            self._ask_to_stop(signal_name)
        self._channel.close()
        self._supervisor.wait()

    def _ask_to_stop(self, signal_name: str) -> None:
        """Say so: to close the channel says it only where no forked child has kept it open."""
        try:
            self._channel.sendall(f"stop {signal_name}\n".encode())
        except OSError:
            return  # stopped before, or stopping: the supervisor has closed its end

    def _next_pid(self) -> int:
        """Return the id of the process that was started last, once it was."""
        with self._channel.makefile("rb", buffering=0) as answers:
            for line in answers:
                match json.loads(line):
                    case {"pid": int(pid)}:
                        return pid
                    case {"failed": int(code)}:
                        raise self.not_started(f"its preparation ended with exit code {code}")
        raise self.not_started("its program could not be run")

    def not_started(self, reason: str) -> ServerDidNotStart:
        """Return the error that says so, with the end of the log."""
        return ServerDidNotStart(server=self.name, reason=reason, log_tail=self.log_tail)
