"""docs/metrics.md lists what the processes export, with its labels: no more and no less."""

import re
from pathlib import Path

import pytest

from service.datasets.registration.inspector_pool import InspectorPool
from service.store.migrate import upgrade
from service.wiring import open_reconciling, open_services
from tests.service.metrics.scrape import scrape
from tests.support.changed_settings import settings_of
from workers.runtime.stage_figures import STAGE_FIGURES

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def documented() -> dict[str, set[str]]:
    """The labels of each metric that a table of the page lists."""
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \| ((?:`[a-z_]+`(?:, )?)*) ?\| ", PAGE, re.MULTILINE)
    return {name: set(re.findall("`([a-z_]+)`", row[1])) for row in rows for name in re.findall("`([a-z_]+)`", row[0])}


@pytest.fixture
def exported(tmp_path: Path, inspectors: InspectorPool) -> dict[str, set[str]]:
    """By the API and the reconciler after a request and a tick."""
    settings = settings_of(home=tmp_path, ray__jobs_url="http://127.0.0.1:9")
    upgrade(settings.database_url)
    services, reconciling = open_services(settings, inspectors=inspectors), open_reconciling(settings)
    services.request_figures.answered("GET", "/runs", 200, 0.001)
    reconciling.reconciler.tick()
    of_api, of_reconciler = scrape(services.metrics).labels_of(), scrape(reconciling.metrics).labels_of()
    services.database.close()
    reconciling.close()
    return {name: of_api.get(name, set()) | of_reconciler.get(name, set()) for name in of_api | of_reconciler}


OF_STAGES = {f"ray_{metric}": {"run", "generation", "stage"} for metric, _ in STAGE_FIGURES.values()}


def test_the_page_lists_what_is_exported_with_its_labels(exported: dict[str, set[str]]) -> None:
    assert documented() == exported | OF_STAGES


def test_expressions_of_the_page_name_what_there_is(exported: dict[str, set[str]]) -> None:
    named = set(re.findall(r"(?:ray_)?noisy_student_[a-z_]+", PAGE))
    assert named <= exported.keys() | OF_STAGES.keys()


def test_names_follow_prometheus_conventions(exported: dict[str, set[str]]) -> None:
    for name in exported:
        assert re.fullmatch(r"(noisy_student|process)_[a-z_]+", name)
        assert not re.search(r"(milliseconds|minutes|hours|mib|percent)", name), "base units"
