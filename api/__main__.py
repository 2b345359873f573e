"""`python -m api [FD]` migrates the database, then serves the API on the address in the settings, or on the socket FD.

The socket is already listening, and the parent process holds it too.
"""

import gc
import logging
import socket
import sys

from service.server_extra import needing_server_extra

with needing_server_extra("python -m api"):
    import uvicorn
    from fastapi import FastAPI

    from api.access.connections import ConnectionLimits, SaidRarely, guarded_connection, room_for_connections
    from api.app import create_app
    from api.request_lines import describe_request
    from service.metrics.exposition import serve_or_exit
    from service.settings import settings_of_process
    from service.store.migrate import upgrade
    from service.store.own_files import keep_files_private
    from workers.telemetry.logs import configure_logging
    from workers.telemetry.traces import start_tracing

_EXPOSED = (
    "refusing to start: {host} can be reached from other machines, and authentication is off.\n"
    "Set NOISY_STUDENT_ACCESS__AUTHENTICATION=true and make a key (noisy-student keys create), "
    "or bind to loopback: NOISY_STUDENT_SERVER__HOST=127.0.0.1."
)
_STOP_SECONDS = 3
_KEEP_ALIVE_SECONDS = 75
"""Longer than clients and load balancers keep an idle connection, which is 60 s for most. If the server closes first, a
request sent at that moment gets no answer. With uvicorn's default of 5 s this happens to httpx, aiohttp and proxies."""
_SWITCH_SECONDS = 0.001
"""A fifth of Python's default. The event loop waits this long for each computing thread, several times per request."""
_NEW_OBJECTS = 10_000
"""How many new objects trigger a garbage collection. A request makes thousands that reference counting frees."""


def main(descriptor: int | None = None) -> None:
    """Serves until it receives a signal. Settings come from the environment."""
    settings = settings_of_process()
    configure_logging(settings.logging.format, "api")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each request to Ray, which helps nobody
    if not settings.on_loopback and not settings.access.authentication:
        sys.exit(_EXPOSED.format(host=settings.server.host))
    keep_files_private(settings)
    upgrade(settings.database_url)
    logging.getLogger("uvicorn.error").addFilter(SaidRarely())
    logging.getLogger("uvicorn.access").addFilter(describe_request)
    sys.setswitchinterval(_SWITCH_SECONDS)
    app = create_app(settings)
    if settings.metrics.api_port is not None:
        serve_or_exit(app.state.services.metrics, settings.metrics, settings.metrics.api_port)
    config = uvicorn.Config(
        _prepared(app),
        host=settings.server.host,
        port=settings.server.port,
        http=guarded_connection(ConnectionLimits(most=room_for_connections())),
        ws="none",
        access_log=settings.logging.requests,
        log_config=None,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        # Event streams never end by themselves; their clients reconnect.
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    start_tracing(settings.tracing.otlp_endpoint, "api")
    uvicorn.Server(config).run(None if descriptor is None else [socket.socket(fileno=descriptor)])


def _prepared(app: FastAPI) -> FastAPI:
    """Does now what would delay the first requests, and exempts all objects so far from garbage collection.

    Each collection of them would block every request for a quarter of a second.
    """
    app.openapi()
    app.state.services.inspectors.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    return app


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
