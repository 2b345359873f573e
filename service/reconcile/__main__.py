"""`python -m service.reconcile`: upgrades the database, then reconciles and closes jobs until SIGTERM or SIGINT."""

import gc
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Protocol

from service.server_extra import needing_server_extra

with needing_server_extra("python -m service.reconcile"):
    from service.errors import DatabaseUnavailable, SecretsUnavailable
    from service.metrics.exposition import serve_or_exit
    from service.settings import Settings, settings_of_process
    from service.store.database import Database
    from service.store.migrate import upgrade
    from service.store.own_files import keep_files_private
    from service.webhooks.sealing import seal_webhook_secrets
    from service.webhooks.secret_box import SecretBox
    from service.wiring import open_reconciling
    from workers.telemetry.logs import configure_logging
    from workers.telemetry.traces import start_tracing, stop_tracing

logger = logging.getLogger(__name__)


class _Worker(Protocol):
    def run_until(self, stop: threading.Event) -> None:
        """Works until `stop` is set."""


_STOP_SECONDS = 5.0
"""How long to wait for deliveries and collections in progress. Both continue later where they stopped."""


def main() -> None:
    """Reconciles until SIGTERM or SIGINT, then stops cleanly and ends the process."""
    settings = settings_of_process()
    configure_logging(settings.logging.format, "reconciler")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log each request, four times a second
    keep_files_private(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    upgrade(settings.database_url)
    reconciling = open_reconciling(settings)
    start_tracing(settings.tracing.otlp_endpoint, "reconciler")
    _seal_secrets(reconciling.database, settings)
    workers: list[_Worker] = [reconciling.job_closer, reconciling.deliverer, reconciling.collector]
    if settings.metrics.reconciler_port is not None:
        serve_or_exit(reconciling.metrics, settings.metrics, settings.metrics.reconciler_port)
        workers.append(reconciling.availability)
    # Daemon threads: they repeat what they leave unfinished, and an outside call may block them.
    beside = [
        threading.Thread(target=worker.run_until, args=(stop,), name=type(worker).__name__, daemon=True)
        for worker in workers
    ]
    gc.collect()
    gc.freeze()  # the objects so far stay alive, and each search for garbage among them would take half a second
    try:
        for thread in beside:
            thread.start()
        reconciling.reconciler.run_until(stop)
    finally:
        stop.set()
        for thread in beside:
            thread.join(_STOP_SECONDS)
        reconciling.close()
        stop_tracing()
    logging.shutdown()
    # Any other exit would wait for a thread that hangs in a dead file system.
    os._exit(0)


def _seal_secrets(database: Database, settings: Settings) -> None:
    try:
        sealed = seal_webhook_secrets(database, SecretBox(Path(settings.secret_keys_file)))
    except (SecretsUnavailable, DatabaseUnavailable) as error:
        logger.error("secrets of webhooks were not sealed anew: %s", error)
    else:
        if sealed:
            logger.info("%d secret(s) of webhooks were sealed anew", sealed)


if __name__ == "__main__":
    main()
