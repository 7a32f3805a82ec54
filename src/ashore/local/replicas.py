"""Streaming replicas of a PostgreSQL server on this machine, near it in time or held back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ashore.local.clusters import Installation, installation
from ashore.local.postgres import LocalPostgres, serving


@contextmanager
def streaming_replica(
    primary: LocalPostgres, name: str, *, delay_ms: int = 0, settings: Mapping[str, str] | None = None
) -> Iterator[LocalPostgres]:
    """Run a replica of `primary` for as long as the context lasts; copied first, then ready for reads.

    Its data folder is a temporary one. It follows the primary over that one's socket, without a slot: a replica that
    ends leaves nothing behind there.

    Args:
        primary: A running server whose superuser may log in for replication, as a new cluster's may.
        name: What the primary knows it by: `application_name` in `pg_stat_replication`.
        delay_ms: How long a commit waits before it can be seen here (`recovery_min_apply_delay`).
        settings: Further parameters of the server.

    Raises:
        ServerDidNotStart: The copy failed, or the server ended, or it was not ready in time.
    """
    source = f"host={primary.socket_folder} port={primary.port} user={primary.superuser} application_name={name}"

    def prepare(reachable: Installation, folder: Path) -> list[str]:
        program = reachable.bin_dir / "pg_basebackup"
        options = ["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"]
        return [str(program), f"--pgdata={folder}", f"--dbname={source}", *options]

    parameters = {
        "recovery_min_apply_delay": str(delay_ms),
        "hot_standby": "on",
        "cluster_name": name,
        **(settings or {}),
    }
    with serving(
        installation(primary.bin_dir), prepare, data=None, settings=parameters, superuser=primary.superuser
    ) as replica:
        yield replica
