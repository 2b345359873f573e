"""What others write about a failure is recorded, whatever it contains; on both kinds of database."""

from hypothesis import given
from hypothesis import strategies as st

from service.config.stage_key import StageKey
from service.store.schema.columns import plain
from tests.support.workbench import Workbench

NOT_STORABLE = "killed\0 by \ud800 the node"


def test_a_nul_in_rays_account_of_a_job_does_not_hold_up_its_run(bench: Workbench, run_id: str) -> None:
    reconciler = bench.reconciler()
    reconciler.tick()
    bench.ray.end(f"{run_id}-g0-train-a1", "FAILED", NOT_STORABLE)

    reconciler.tick()

    [attempt] = bench.queries.list_attempts(StageKey(run_id, 0, "train")).items
    assert attempt.state == "failed"
    assert attempt.failure_message.endswith(": killed by ? the node")
    assert "killed by ? the node" in bench.queries.list_events(run_id).items[0].message


def test_a_nul_in_rays_refusal_of_a_job_does_not_hold_up_its_run(bench: Workbench, run_id: str) -> None:
    bench.ray.answers += [(404, "Job does not exist"), (400, "Traceback...\nTypeError: not \0 metadata")]

    bench.reconciler().tick()

    [attempt] = bench.queries.list_attempts(StageKey(run_id, 0, "train")).items
    assert attempt.failure_reason == "submit_failed"
    assert attempt.failure_message.endswith(": TypeError: not  metadata")


@given(st.text(st.characters(exclude_categories=())))
def test_plain_text_can_be_stored_and_is_plain_already(text: str) -> None:
    stored = plain(text)
    assert b"\0" not in stored.encode()
    assert plain(stored) == stored
