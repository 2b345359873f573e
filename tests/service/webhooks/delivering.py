"""Events to be delivered, and one round of delivering them."""

from collections.abc import Callable
from concurrent.futures import wait
from typing import Any

from service.config.run import RunConfig
from service.store.run_store import add_event
from service.webhooks.deliverer import WebhookDeliverer
from tests.at_once import LONG_SECONDS

MakeConfig = Callable[..., RunConfig]


def start(bench: Any, run_config: MakeConfig) -> str:
    run_id: str = bench.commands.create_run(run_config(generations=0, student_models=[])).id
    return run_id


def deliver(deliverer: WebhookDeliverer) -> None:
    under_way = wait(deliverer.tick(), timeout=LONG_SECONDS).not_done
    assert not under_way


def tell(bench: Any, run_id: str | None, *kinds: str) -> None:
    for kind in kinds:
        with bench.database.write() as session:
            add_event(session, run_id, bench.clock(), kind, "")
