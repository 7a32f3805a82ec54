"""What of moto is used; apart, because it can be imported with the extra `local` alone, and takes its time."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class _OneAtATime:
    """Lets one request of DynamoDB after the other through.

    moto gives a stream's record the number of records before it, and appends it after that: two writes at a time get
    one number, and whoever reads the stream passes by one of them. Real streams number each record for itself.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._lock: Final = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
            return self._application(environ, start_response)
        with self._lock:
            return self._application(environ, start_response)


class _QuietRequestHandler(MotoRequestHandler):
    """moto's own handler without a line on the terminal for every request; errors of the server are still written."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing."""


def listen(host: str) -> BaseWSGIServer:
    """Return a server of all that moto knows, on a free port, which takes no request before it serves."""
    application = _OneAtATime(DomainDispatcherApplication(create_backend_app))
    return make_server(host, 0, application, threaded=True, request_handler=_QuietRequestHandler)


def forget_everything() -> None:
    """Remove every table, bucket and whatever else moto keeps in this process.

    The same as a POST to `/moto-api/reset`.
    Source: https://docs.getmoto.org/en/latest/docs/server_mode.html#reset-api
    """
    BackendDict.reset()
    reset_model_data()
