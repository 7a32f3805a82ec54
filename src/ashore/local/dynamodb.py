"""DynamoDB and S3 on this machine: moto inside this process, or AWS's own DynamoDB Local, which needs Java 17."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, overload

import boto3
from botocore.config import Config

from ashore.local.errors import JavaMissing, LocalExtraMissing
from ashore.local.process import ServerCommand, ServerProcess

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

LOOPBACK = "127.0.0.1"
READY_SECONDS = 60.0
POLL_SECONDS = 0.02
JAR = "DynamoDBLocal.jar"
FOLDER_VARIABLE = "ASHORE_DYNAMODB_LOCAL"
CACHED_FOLDER = Path(".cache", "dynamodb-local")
"""Relative to the project; `.ci/run` puts DynamoDB Local there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAws:
    """A server that speaks DynamoDB (moto: also S3) on 127.0.0.1.

    Attributes:
        name: `moto` or `DynamoDB Local`.
        endpoint_url: Such as `http://127.0.0.1:40123`.
        region: The region of its tables.
        access_key_id: Made up; DynamoDB Local takes letters and digits only.
        secret_access_key: Made up.
        process_id: Of the server's process; None for moto, which runs in this one.
    """

    name: str
    endpoint_url: str
    region: str = "eu-central-1"
    access_key_id: str = "local"
    secret_access_key: str = field(default="local", repr=False)
    process_id: int | None = None

    @overload
    def client(self, service: Literal["dynamodb"]) -> DynamoDBClient: ...

    @overload
    def client(self, service: Literal["s3"]) -> S3Client: ...

    def client(self, service: Literal["dynamodb", "s3"]) -> DynamoDBClient | S3Client:
        """Return a new boto3 client of this server; whatever the machine has of AWS's settings is left aside."""
        config = Config(s3={"addressing_style": "path"}, proxies={}, retries={"mode": "standard", "max_attempts": 3})
        with _one_at_a_time:
            return _session().client(
                service,
                endpoint_url=self.endpoint_url,
                config=config,
                region_name=self.region,
                aws_access_key_id=self.access_key_id,
                aws_secret_access_key=self.secret_access_key,
            )

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with which boto3 in another process reaches this server and no other."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }


_one_at_a_time: Final = threading.Lock()


@cache
def _session() -> boto3.Session:
    """One for all clients: a session reads the descriptions of services anew, and is not thread-safe."""
    return boto3.Session()


@contextmanager
def moto_server() -> Iterator[LocalAws]:
    """Serve moto's DynamoDB and S3 from threads of this process, on a free port of 127.0.0.1.

    moto keeps one set of tables and buckets a process: two servers at once show the same. They are emptied at the start
    and at the end.

    Raises:
        LocalExtraMissing: There is no `moto[server]`.
    """
    try:
        from ashore.local import moto_application  # noqa: PLC0415 takes half a second, and needs the extra `local`
    except ModuleNotFoundError as error:
        raise LocalExtraMissing(package=error.name or "moto") from error
    server = moto_application.listen(LOOPBACK)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": POLL_SECONDS}, daemon=True)
    moto_application.forget_everything()
    thread.start()
    try:
        yield LocalAws(name="moto", endpoint_url=f"http://{LOOPBACK}:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        moto_application.forget_everything()


@contextmanager
def dynamodb_local(folder: Path) -> Iterator[LocalAws]:
    """Run AWS's DynamoDB Local, in memory and without telemetry, on a free port.

    It has no option for the address to listen on and takes every interface of the machine; its tables are reached with
    any credentials. It ends with this process, whatever ends that.

    Args:
        folder: Where `DynamoDBLocal.jar` and `DynamoDBLocal_lib` are, as from `find_dynamodb_local`.

    Raises:
        JavaMissing: There is no `java` on the path.
        ServerDidNotStart: It ended, or did not listen within `READY_SECONDS`.
    """
    java = shutil.which("java")
    if java is None:
        raise JavaMissing
    port = _free_port()
    work = Path(tempfile.mkdtemp(prefix="ashore-"))
    try:
        process = ServerProcess(
            ServerCommand(
                name="DynamoDB Local",
                command=[
                    java,
                    "-Xmx512m",
                    "-XX:+UseSerialGC",  # starts faster and takes fewer threads than the default
                    f"-Djava.io.tmpdir={work}",
                    f"-Djava.library.path={folder / 'DynamoDBLocal_lib'}",
                    *("-jar", str(folder / JAR)),
                    *("-inMemory", "-disableTelemetry", "-port", str(port)),
                ],
                folder=work,  # it writes a file about itself there
                log=work / "log",
                stop_signals=("SIGTERM",),
                remove=work,
            )
        )
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    try:
        _wait_for(process, port)
        yield LocalAws(name="DynamoDB Local", endpoint_url=f"http://{LOOPBACK}:{port}", process_id=process.pid)
    finally:
        process.stop()


def find_dynamodb_local(project: Path | None = None) -> Path | None:
    """Return the folder of DynamoDB Local: `$ASHORE_DYNAMODB_LOCAL`, else `.cache/dynamodb-local` of the project.

    Args:
        project: The project's folder; None for the current one.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else (project or Path.cwd()) / CACHED_FOLDER
    return folder.resolve() if (folder / JAR).is_file() else None


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_for(process: ServerProcess, port: int) -> None:
    """Return once the server takes connections."""
    deadline = time.monotonic() + READY_SECONDS
    while process.is_running and time.monotonic() < deadline:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
        except OSError:
            time.sleep(POLL_SECONDS)
        else:
            return
    raise process.not_started("it was not ready in time" if process.is_running else "it ended")
