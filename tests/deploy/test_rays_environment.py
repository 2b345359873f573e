"""What Ray's head is told: limits that follow from the service's, and where Grafana is."""

from typing import Any

import pytest

from service.config.policies import SCHEDULE_TIMEOUT_SECONDS
from tests.deploy.manifests import GIVEN, Manifest, refusal, render

PATIENCE = "settings.reconciler.schedule_timeout_seconds"


def _variables(container: dict[str, Any]) -> dict[str, str]:
    names = [each["name"] for each in container["env"]]
    assert len(set(names)) == len(names), "a name twice is a conflict of server-side apply"
    return {each["name"]: each.get("value", "") for each in container["env"]}


def _of_head(manifests: list[Manifest]) -> dict[str, str]:
    [cluster] = [each for each in manifests if each["kind"] == "RayCluster"]
    [container] = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    return _variables(container)


def _of_service(manifests: list[Manifest]) -> list[dict[str, str]]:
    deployments = [each for each in manifests if each["kind"] == "Deployment"]
    return [_variables(each["spec"]["template"]["spec"]["containers"][0]) for each in deployments]


@pytest.mark.parametrize(("seconds", "of_ray"), [(None, 3900), (601, 901), (7200.5, 7501), (86_400, 86_700)])
def test_ray_waits_longer_for_a_driver_than_the_service_does(seconds: float | None, of_ray: int) -> None:
    manifests = render(values=GIVEN if seconds is None else {**GIVEN, PATIENCE: seconds})
    services = {each["NOISY_STUDENT_RECONCILER__SCHEDULE_TIMEOUT_SECONDS"] for each in _of_service(manifests)}
    [patience] = services

    assert float(patience) == (SCHEDULE_TIMEOUT_SECONDS if seconds is None else seconds)
    assert int(_of_head(manifests)["RAY_JOB_START_TIMEOUT_SECONDS"]) == of_ray > float(patience)


def test_an_attempt_must_outlast_the_first_group_that_gets_no_machine() -> None:
    given = {**GIVEN, "ray.autoscaler.podWaitSeconds": 1800}
    assert "must exceed ray.autoscaler.podWaitSeconds, 1800" in refusal(values={**given, PATIENCE: 1800})
    assert f"{PATIENCE} is missing" in refusal(values={**GIVEN, "settings.reconciler": None})


def test_without_grafana_ray_asks_for_none_and_no_frame_is_allowed() -> None:
    manifests = render(values=GIVEN)

    assert _of_head(manifests)["RAY_GRAFANA_HOST"] == "DISABLED"
    assert not any("NOISY_STUDENT_RAY__GRAFANA_URL" in each for each in _of_service(manifests))


@pytest.mark.parametrize(
    ("grafana", "in_browser"),
    [
        ({"url": "http://grafana.monitoring"}, "http://grafana.monitoring"),
        ({"url": "http://g:3000", "browserUrl": "https://g.example/graphs"}, "https://g.example/graphs"),
    ],
)
def test_the_head_and_browsers_reach_grafana_each_in_their_way(grafana: dict[str, str], in_browser: str) -> None:
    prometheus = {"prometheusUrl": "http://prometheus:9090", "datasource": "Thanos"}
    manifests = render(values={**GIVEN, "ray.grafana": {**grafana, **prometheus}})
    expected = {
        "RAY_GRAFANA_HOST": grafana["url"],
        "RAY_GRAFANA_IFRAME_HOST": in_browser,
        "RAY_PROMETHEUS_HOST": "http://prometheus:9090",
        "RAY_PROMETHEUS_NAME": "Thanos",
    }

    assert expected.items() <= _of_head(manifests).items()
    assert [each["NOISY_STUDENT_RAY__GRAFANA_URL"] for each in _of_service(manifests)] == [in_browser] * 2


def test_panels_without_prometheus_are_refused_because_ray_would_show_none() -> None:
    assert "ray.grafana.prometheusUrl is missing" in refusal(values={**GIVEN, "ray.grafana.url": "http://grafana"})


def test_what_ray_env_sets_is_set_once() -> None:
    own = [{"name": "RAY_JOB_START_TIMEOUT_SECONDS", "value": "5000"}]

    assert _of_head(render(values={**GIVEN, "ray.env": own}))["RAY_JOB_START_TIMEOUT_SECONDS"] == "5000"


@pytest.mark.parametrize(
    "url", ["grafana", "javascript:alert(1)", "https://g.example; script-src *", "https://g/ 'self'"]
)
def test_what_is_no_address_never_comes_into_the_policy(url: str) -> None:
    assert "/ray/grafana/url" in refusal(values={**GIVEN, "ray.grafana.url": url})
