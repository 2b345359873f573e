"""`python -m service.reconcile`: upgrades the database, then reconciles until SIGTERM or SIGINT."""

import logging
import signal
import threading
import time

from service.ray_jobs import RayJobs
from service.reconcile.collector import Collector
from service.reconcile.loop import Reconciler
from service.settings import Settings
from service.store.database import Database
from service.store.migrate import upgrade
from service.webhooks.deliverer import WebhookDeliverer

_STOP_SECONDS = 5.0
"""How long deliveries and collections under way are waited for; both go on where they were left."""


def main() -> None:
    """Returns after a clean stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request, four times a second
    settings = Settings()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    upgrade(settings.database_url)
    database = Database(settings.database_url)
    token = settings.ray_auth_token
    ray_jobs = RayJobs(settings.ray_jobs_url, token.get_secret_value() if token else None)
    beside = [
        threading.Thread(target=worker.run_until, args=(stop,), name=type(worker).__name__, daemon=True)
        for worker in (WebhookDeliverer(database, settings, time.time), Collector(database, settings, time.time))
    ]
    try:
        for thread in beside:
            thread.start()
        Reconciler(database, settings, ray_jobs, time.time).run_until(stop)
        for thread in beside:
            thread.join(_STOP_SECONDS)
    finally:
        ray_jobs.close()
        database.close()


if __name__ == "__main__":
    main()
