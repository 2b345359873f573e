"""`python -m service.reconcile`: upgrades the database, then reconciles and closes jobs until SIGTERM or SIGINT."""

import gc
import logging
import os
import signal
import threading
import time
from pathlib import Path

from service.errors import DatabaseUnavailable, SecretsUnavailable
from service.ray_client.jobs import RayJobs
from service.reconcile.job_closer import JobCloser
from service.reconcile.loop import Reconciler
from service.retention.collector import Collector
from service.settings import Settings
from service.store.database import Database
from service.store.migrate import upgrade
from service.store.own_files import keep_files_private
from service.webhooks.deliverer import WebhookDeliverer
from service.webhooks.sealing import seal_webhook_secrets
from service.webhooks.secret_box import SecretBox

logger = logging.getLogger(__name__)

_STOP_SECONDS = 5.0
"""How long deliveries and collections under way are waited for; both go on where they were left."""


def main() -> None:
    """Ends the process after a clean stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request, four times a second
    settings = Settings()
    keep_files_private(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    upgrade(settings.database_url)
    database = Database(settings.database_url)
    _seal_secrets(database, settings)
    token = settings.ray_auth_token
    token_text = token.get_secret_value() if token else None
    own = settings.ray_is_own
    ray_jobs = RayJobs(settings.ray_jobs_url, token_text, settings.outside_timeout_seconds, is_own=own)
    # It holds nobody up, and so has time for long logs.
    patient_ray_jobs = RayJobs(settings.ray_jobs_url, token_text, is_own=own)
    # Daemons: what they leave half done they do again, and what is outside may keep them waiting.
    beside = [
        threading.Thread(target=worker.run_until, args=(stop,), name=type(worker).__name__, daemon=True)
        for worker in (
            JobCloser(database, settings, patient_ray_jobs, time.time),
            WebhookDeliverer(database, settings, time.time),
            Collector(database, settings, time.time),
        )
    ]
    gc.collect()
    gc.freeze()  # what is there now stays: to look through it for garbage takes half a second each time
    try:
        for thread in beside:
            thread.start()
        Reconciler(database, settings, ray_jobs, time.time).run_until(stop)
    finally:
        stop.set()
        for thread in beside:
            thread.join(_STOP_SECONDS)
        ray_jobs.close()
        patient_ray_jobs.close()
        database.close()
    logging.shutdown()
    # A thread that hangs in a dead file system would be waited for by any other way out.
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
