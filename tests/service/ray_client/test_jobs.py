"""The client of Ray's jobs API, against a real HTTP server that responds like Ray 2.60."""

import json
import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.config.settings.groups import DriverPlace, PlacementSettings
from service.errors import RayDoesNotAnswer, RayUnavailable
from service.ray_client.job_status import JobStatus
from service.ray_client.jobs import JobRejected, RayJobs
from service.ray_client.log_tail import end_of_log
from tests.support.fake_ray import FakeRay
from tests.support.stranger import stranger_at


@pytest.fixture
def client(ray: FakeRay, ray_jobs: RayJobs) -> RayJobs:
    return ray_jobs


def submit(client: RayJobs, job_id: str = "job-1", spec_uri: str = "/data/spec.json") -> None:
    client.submit(job_id, "python3", spec_uri, {"attempt": "1"})


def test_the_entrypoint_is_fixed_and_its_argument_never_reaches_a_shell_unquoted(ray: FakeRay, client: RayJobs) -> None:
    spec_uri = "/my data/$(rm -rf ~)/spec.json"

    submit(client, spec_uri=spec_uri)

    [body] = ray.submits
    assert shlex.split(body["entrypoint"]) == ["python3", "-m", "workers.entrypoint", spec_uri]
    assert "'/my data/$(rm -rf ~)/spec.json'" in body["entrypoint"]
    assert body["entrypoint_num_cpus"] == 0
    assert body["metadata"] == {"attempt": "1"}
    assert "runtime_env" not in body


def test_a_driver_reserves_what_its_place_says_and_nothing_else(ray: FakeRay, client: RayJobs) -> None:
    place = DriverPlace(cpus=2, memory_mib=1024, node_labels={"noisy-student.io/group": "cpu"})

    submit(client)
    client.submit("job-2", "python3", "/data/spec.json", {}, place)

    plain, placed = ({key: each for key, each in body.items() if key.startswith("entrypoint_")} for body in ray.submits)
    assert plain == {"entrypoint_num_cpus": 0}
    assert placed == {
        "entrypoint_num_cpus": 2,
        "entrypoint_memory": 1 << 30,
        "entrypoint_label_selector": {"noisy-student.io/group": "cpu"},
    }


def test_only_selection_has_the_place_of_its_own() -> None:
    large = DriverPlace(cpus=4)

    assert PlacementSettings(select=large).driver_of("select") == large
    assert PlacementSettings(select=large).driver_of("train") == DriverPlace()
    assert PlacementSettings(driver=large).driver_of("select") == large


def test_a_job_that_exists_already_counts_as_submitted(ray: FakeRay, client: RayJobs) -> None:
    submit(client)
    submit(client)

    assert len(ray.submits) == 2
    assert list(ray.jobs) == ["job-1"]


def test_a_head_without_an_agent_is_unavailable_not_a_refusal(ray: FakeRay, client: RayJobs) -> None:
    ray.answers.append((500, "No available agent to submit job, please try again later."))

    with pytest.raises(RayUnavailable, match="No available agent"):
        submit(client)


def test_a_bad_request_is_a_refusal(ray: FakeRay, client: RayJobs) -> None:
    ray.answers.append((400, "Traceback...\nTypeError: metadata values must be strings"))

    with pytest.raises(JobRejected, match="metadata values must be strings"):
        submit(client)


def test_the_status_of_an_unknown_job_is_unknown(client: RayJobs) -> None:
    assert client.status("job-9").status is JobStatus.UNKNOWN


def test_the_status_comes_with_rays_own_account(ray: FakeRay, client: RayJobs) -> None:
    submit(client)
    ray.end("job-1", "FAILED", "driver exited with 1")

    info = client.status("job-1")

    assert (info.status, info.message) == (JobStatus.FAILED, "driver exited with 1")


def test_a_status_that_ray_never_had_is_no_knowledge(ray: FakeRay, client: RayJobs) -> None:
    ray.answers += [(200, '{"status": "DREAMING"}'), (200, "<html>"), (200, "[]")]

    for _ in range(3):
        with pytest.raises(RayUnavailable):
            client.status("job-1")


def test_all_jobs_are_listed_by_their_submission_ids(ray: FakeRay, client: RayJobs) -> None:
    submit(client, "job-1")
    submit(client, "job-2")
    ray.end("job-2", "FAILED", "driver exited with 1")
    ray.jobs["job-3"] = {"submission_id": "job-3", "status": "DREAMING"}
    ray.jobs["driver"] = {"submission_id": None, "job_id": "01000000", "status": "RUNNING"}

    found = client.statuses()

    assert {job_id: info.status for job_id, info in found.items()} == {
        "job-1": JobStatus.RUNNING,
        "job-2": JobStatus.FAILED,
    }
    assert found["job-2"].message == "driver exited with 1"


def test_a_list_that_is_none_is_no_knowledge(ray: FakeRay, client: RayJobs) -> None:
    ray.answers += [(200, '{"jobs": []}'), (200, "<html>"), (200, "[1]"), (404, "no such page")]

    for _ in range(4):
        with pytest.raises(RayUnavailable):
            client.statuses()


def test_stopping_an_unknown_job_is_no_error(ray: FakeRay, client: RayJobs) -> None:
    client.stop("job-9")

    submit(client)
    client.stop("job-1")
    assert ray.stops == ["job-1"]


def test_logs_are_those_of_the_driver_or_none(ray: FakeRay, client: RayJobs) -> None:
    submit(client)
    ray.jobs["job-1"]["logs"] = "one\ntwo\n"

    assert client.log_end("job-1", 1000) == b"one\ntwo\n"
    assert client.log_end("job-9", 1000) is None


def test_a_head_that_is_down_is_unavailable(ray: FakeRay, client: RayJobs) -> None:
    ray.down = True

    calls = (
        client.version,
        lambda: client.status("a"),
        lambda: client.stop("a"),
        lambda: client.log_end("a", 1),
        lambda: client.delete("a"),
    )
    for call in calls:
        with pytest.raises(RayUnavailable):
            call()


def test_no_server_at_all_is_unavailable() -> None:
    client = RayJobs("http://127.0.0.1:9")

    with pytest.raises(RayDoesNotAnswer, match="does not answer"):
        client.version()
    client.close()


def test_the_token_is_sent_and_a_missing_one_is_named(ray: FakeRay, client: RayJobs) -> None:
    ray.token = "secret"

    with pytest.raises(RayUnavailable, match="NOISY_STUDENT_RAY__AUTH_TOKEN"):
        submit(client)
    with_token = RayJobs(ray.url, "secret")
    assert with_token.version() == "2.60.0"
    with_token.close()


def test_one_connection_serves_many_calls(ray: FakeRay) -> None:
    client = RayJobs(ray.url)
    for _ in range(5):
        client.version()
    client.close()

    assert ray.connections == 1


@example(log="\\\\éé😀😀😀😀", max_bytes=1, piece=1)  # the end of the response must not replace a character
@given(st.text(alphabet=st.sampled_from('abc\n\\"é😀\t{}'), max_size=400), st.integers(1, 60), st.integers(1, 50))
def test_the_end_of_a_log_is_its_last_whole_lines(log: str, max_bytes: int, piece: int) -> None:
    body = json.dumps({"logs": log}).encode()
    whole = log.encode()

    end = end_of_log((body[start : start + piece] for start in range(0, len(body), piece)), max_bytes)

    assert len(end) <= max_bytes
    if len(whole) <= max_bytes and len(body) < 64:
        assert end == whole
    assert whole.endswith(end)
    assert end == whole or whole.endswith(b"\n" + end) or b"\n" not in whole[-max_bytes:]


def test_a_long_log_is_cut_where_a_line_begins(ray: FakeRay, client: RayJobs) -> None:
    submit(client)
    ray.jobs["job-1"]["logs"] = 'a "quoted" \\ line\n' * 100_000

    assert client.log_end("job-1", 50) == b'a "quoted" \\ line\n' * 2


def test_an_answer_that_is_no_log_is_no_knowledge(ray: FakeRay, client: RayJobs) -> None:
    for text in ("<html>", "[]"):
        ray.answers.append((200, text))
        with pytest.raises(RayUnavailable):
            client.log_end("job-1", 100)


def test_only_a_job_that_has_ended_is_deleted(ray: FakeRay, client: RayJobs) -> None:
    submit(client)
    with pytest.raises(RayUnavailable, match="non-terminal"):
        client.delete("job-1")
    ray.end("job-1")

    client.delete("job-1")
    client.delete("job-1")

    assert ray.jobs == {}


def test_a_head_that_answers_anybody_is_told_from_one_that_asks_for_a_token(ray: FakeRay) -> None:
    client = RayJobs(ray.url, "secret")
    assert client.answers_without_token()
    ray.token = "secret"
    assert not client.answers_without_token()
    client.close()


@pytest.mark.attack
def test_another_users_program_at_the_port_of_our_own_ray_is_not_sent_the_token() -> None:
    """Ray's command line reveals its ports to everyone before it listens on them."""
    with stranger_at("127.0.0.1") as port:
        client = RayJobs(f"http://127.0.0.1:{port}", "secret", timeout_seconds=5, is_own=True)
        with pytest.raises(RayUnavailable, match="another user's program"):
            client.version()
        client.close()


@pytest.mark.attack
def test_our_own_ray_is_asked(ray: FakeRay) -> None:
    client = RayJobs(ray.url, "secret", is_own=True)
    assert client.version() == "2.60.0"
    client.close()


def test_gpus_are_counted_on_the_nodes_that_are_alive(ray: FakeRay, client: RayJobs) -> None:
    assert client.gpus() == 0
    ray.nodes = [
        {"state": "ALIVE", "resources_total": {"CPU": 8.0, "GPU": 4.0, "memory": 1.0}},
        {"state": "ALIVE", "resources_total": {"CPU": 2.0}},
        {"state": "DEAD", "resources_total": {"GPU": 8.0}},
    ]
    assert client.gpus() == 4


@pytest.mark.parametrize("text", ["{}", "[]", '{"data": {"result": {"result": [{}]}}}', '{"data": {"result": []}}'])
def test_a_strange_answer_about_nodes_is_no_number_of_gpus(ray: FakeRay, client: RayJobs, text: str) -> None:
    ray.answers = [(200, text)]
    with pytest.raises(RayUnavailable):
        client.gpus()
