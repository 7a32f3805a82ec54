"""A way to a private database through AWS Systems Manager: no open port, no key, and every session in CloudTrail."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ashore.config.address import parse
from ashore.config.secret import Dsn
from ashore.errors import AshoreError
from ashore.pipeline.connect import ProgramMissing
from ashore.postgres.address import resolved
from ashore.postgres.endpoints import region_of

DOCUMENT: Final = "AWS-StartPortForwardingSessionToRemoteHost"
OPEN_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1
_plugin_page: Final = (
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html"
)


@dataclass(eq=False, kw_only=True)
class TunnelFailed(AshoreError):
    """The port forwarding ended, or did not begin in time; what was started has been ended."""

    target: str
    reason: str

    code: ClassVar[str] = "ASH642"
    exit_code: ClassVar[int] = 2

    def what(self) -> str:
        return f"no tunnel through {self.target}: {self.reason}"

    def hint(self) -> str:
        return (
            "the target has to be managed by Systems Manager and reach the database, and you need ssm:StartSession"
            f" on it and on the document {DOCUMENT}"
        )


@contextmanager
def ssm_tunnel(dsn: Dsn, *, target: str, profile: str | None) -> Iterator[Dsn]:
    """Forward a port of this machine to the endpoint through `target`; give the address of its near end.

    The address still signs and verifies for the endpoint itself. The AWS CLI does the work, with its session manager
    plugin; it ends with the context.

    Args:
        dsn: A URI of one endpoint.
        target: An instance (``i-…``) or the container of a task (``ecs:CLUSTER_TASK_RUNTIME``) that reaches it.
        profile: The AWS profile; None for the CLI's own.

    Raises:
        ProgramMissing: The AWS CLI or its plugin is not there.
        TunnelFailed: See there.

    Source: https://docs.aws.amazon.com/systems-manager/latest/userguide/
    session-manager-working-with-sessions-start.html
    """
    for program, remedy in (
        ("aws", "install the AWS CLI, version 2"),
        ("session-manager-plugin", f"install it beside the AWS CLI: {_plugin_page}"),
    ):
        if shutil.which(program) is None:
            raise ProgramMissing(program=program, remedy=remedy)
    given = resolved(parse(dsn.reveal()).parameters)
    host, port = given.get("host", ""), given.get("port", "5432")
    near_port = _free_port()
    parameters = {"host": [host], "portNumber": [port], "localPortNumber": [str(near_port)]}
    command = ["aws", "ssm", "start-session", "--target", target, "--document-name", DOCUMENT]
    command += ["--parameters", json.dumps(parameters)]
    region = region_of(host)
    command += ["--region", region] if region else []
    command += ["--profile", profile] if profile else []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as session:
        try:
            _wait_for(session, near_port, target)
            yield near_end(dsn, near_port)
        finally:
            session.terminate()


def near_end(dsn: Dsn, near_port: int) -> Dsn:
    """The address of a tunnel's end on this machine, which signs and verifies for what is at its other end."""
    parts = urlsplit(dsn.reveal())
    pairs = dict(parse_qsl(parts.query, keep_blank_values=True))
    host, port = parts.hostname or "", parts.port or 5432
    before, at, _ = parts.netloc.rpartition("@")
    if parse(dsn.reveal()).iam is not None:
        pairs.setdefault("sign_for", f"{host}:{port}")
        netloc = f"{before}{at}127.0.0.1:{near_port}"
    else:
        pairs["hostaddr"] = "127.0.0.1"
        pairs.setdefault("sslmode", "verify-full")
        netloc = f"{before}{at}{host}:{near_port}"
    return Dsn(urlunsplit(parts._replace(netloc=netloc, query=urlencode(pairs))))


def _wait_for(session: subprocess.Popen[str], port: int, target: str) -> None:
    give_up_at = time.monotonic() + OPEN_SECONDS
    while time.monotonic() < give_up_at:
        if session.poll() is not None:
            told = session.stderr.read().strip().splitlines() if session.stderr else []
            raise TunnelFailed(target=target, reason=told[-1] if told else f"aws ended with {session.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(_POLL_SECONDS)
    raise TunnelFailed(target=target, reason=f"it was not open after {OPEN_SECONDS:.0f} s")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
