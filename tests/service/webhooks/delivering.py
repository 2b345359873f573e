"""Events to be delivered, and one round of delivering them."""

from concurrent.futures import wait

from service.config.events import EventKind
from service.store.run_store import add_event
from service.webhooks.deliverer import WebhookDeliverer
from tests.at_once import LONG_SECONDS
from tests.support.workbench import MakeConfig, Workbench

FIRST, SECOND, THIRD = EventKind.RUN_PAUSED, EventKind.RUN_RESUMED, EventKind.PROMOTED
LATER = EventKind.ATTEMPT_SUBMITTED
"""The event kinds that tests use. Delivery does not depend on them."""


def start(bench: Workbench, run_config: MakeConfig) -> str:
    return bench.commands.create_run(run_config(generations=0, student_models=[])).id


def deliver(deliverer: WebhookDeliverer) -> None:
    under_way = wait(deliverer.tick(), timeout=LONG_SECONDS).not_done
    assert not under_way


def tell(bench: Workbench, run_id: str | None, *kinds: EventKind) -> None:
    for kind in kinds:
        with bench.database.write() as session:
            add_event(session, run_id, bench.clock(), kind, "")
