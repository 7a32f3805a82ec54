"""Processes that begin at once: they fork from a server that has imported already what new ones would import first.

They get the environment of the moment, as new ones do, and can be killed as those can.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any, Final

import pytest

from ashore.assess import survey
from ashore.ledger import work


class QuickContext(ForkServerContext):
    """As the context "spawn"; the arguments of a process are given by name."""

    def Process(  # type: ignore[override]  # noqa: N802 (multiprocessing's name)
        self, *, target: Callable[..., object], args: tuple[Any, ...] = (), **named: Any
    ) -> ForkServerProcess:
        """A process that is not started yet."""
        return ForkServerProcess(target=_in_environment, args=(dict(os.environ), target, args), **named)


def _in_environment(environment: Mapping[str, str], target: Callable[..., object], args: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    target(*args)


context: Final = QuickContext()
context.set_forkserver_preload(
    ["ashore.assess.survey", "ashore.pipeline.reverse", "ashore.pipeline.sync", "ashore.pipeline.verify"]
)


@contextmanager
def quick_workers() -> Iterator[None]:
    """Let the workers of loads, verifications and assessments of this process begin so.

    Those of the command line, and of loads in processes of their own, begin as users' do.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "_context", context)
        patch.setattr(survey, "get_context", lambda _: context)
        yield
