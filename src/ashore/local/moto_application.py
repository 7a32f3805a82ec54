"""What of moto is used; apart, because it can be imported with the extra `local` alone, and takes its time."""

from __future__ import annotations

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server


class _QuietRequestHandler(MotoRequestHandler):
    """moto's own handler without a line on the terminal for every request; errors of the server are still written."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing."""


def listen(host: str) -> BaseWSGIServer:
    """Return a server of all that moto knows, on a free port, which takes no request before it serves."""
    application = DomainDispatcherApplication(create_backend_app)
    return make_server(host, 0, application, threaded=True, request_handler=_QuietRequestHandler)


def forget_everything() -> None:
    """Remove every table, bucket and whatever else moto keeps in this process.

    The same as a POST to `/moto-api/reset`.
    Source: https://docs.getmoto.org/en/latest/docs/server_mode.html#reset-api
    """
    BackendDict.reset()
    reset_model_data()
