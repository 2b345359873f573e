"""`python -m service.reconcile`: upgrades the database, then reconciles and closes jobs until SIGTERM or SIGINT."""

import logging
import os
import signal
import threading
import time

from service.ray_jobs import RayJobs
from service.reconcile.job_closer import JobCloser
from service.reconcile.loop import Reconciler
from service.settings import Settings
from service.store.database import Database
from service.store.migrate import upgrade


def main() -> None:
    """Ends the process after a clean stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request, four times a second
    settings = Settings()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    upgrade(settings.database_url)
    database = Database(settings.database_url)
    token = settings.ray_auth_token
    token_text = token.get_secret_value() if token else None
    ray_jobs = RayJobs(settings.ray_jobs_url, token_text, settings.outside_timeout_seconds)
    # It holds nobody up, and so has time for long logs.
    patient_ray_jobs = RayJobs(settings.ray_jobs_url, token_text)
    closer = JobCloser(database, settings, patient_ray_jobs, time.time)
    # A daemon: what it leaves half done it does again, and Ray may keep it waiting.
    closing = threading.Thread(target=closer.run_until, args=(stop,), name="job-closer", daemon=True)
    closing.start()
    try:
        Reconciler(database, settings, ray_jobs, time.time).run_until(stop)
    finally:
        stop.set()
        closing.join(timeout=5)
        ray_jobs.close()
        patient_ray_jobs.close()
        database.close()
    logging.shutdown()
    # A thread that hangs in a dead file system would be waited for by any other way out.
    os._exit(0)


if __name__ == "__main__":
    main()
