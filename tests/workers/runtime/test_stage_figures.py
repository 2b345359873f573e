"""A stage's speed, loss and accuracy are in Prometheus' format at the port of a real Ray node, beside Ray's own."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from noisy_student.local.ray_head import free_ports
from tests.limits import END_TO_END_LIMIT_SECONDS
from tests.support.network_namespace import network_of_its_own
from workers.runtime.stage_figures import STAGE_FIGURES, StageFigures

REPOSITORY = Path(__file__).parents[3]
PATIENCE_SECONDS = 60.0
REPORTING = """
import sys, ray
from pathlib import Path
ray.init(num_cpus=1, num_gpus=1, include_dashboard=False, _temp_dir=sys.argv[1], _metrics_export_port=int(sys.argv[2]))
from workers.runtime.stage_reporter import StageReporter
from workers.specs.selection import SelectionSettings
from workers.specs.stages import SelectSpec
spec = SelectSpec(
    run_id="run-1", generation=2, attempt=1, folder_uri=sys.argv[1], seed=0, manifest_uri="/m", labels_uri="/l",
    classes=("a", "b"), settings=SelectionSettings(),
)
reporter = StageReporter(spec, 0.0)
reporter.announce(10, "steps")
values = {"loss": 0.5, "images_per_second": 321.0, "validation_top1": 0.75, "gpu_memory_bytes": 2.0**30}
reporter.update(10, {**values, "corrupted_top1": 0.1})
print("reported", flush=True)
sys.stdin.readline()
"""


def scraped(port: int) -> dict[str, float]:
    """The samples at the port by name and labels, as they are written. Nothing while nobody listens there."""
    try:
        page = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    except httpx.HTTPError:
        return {}
    lines = [line.rpartition(" ") for line in page.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


@pytest.mark.own_process
@pytest.mark.end_to_end
@pytest.mark.timeout(END_TO_END_LIMIT_SECONDS)
def test_figures_of_a_stage_are_at_the_port_of_its_node() -> None:
    folder = tempfile.mkdtemp(prefix="r")  # short, because the paths of Ray's sockets may have at most 107 bytes
    with network_of_its_own():
        (port,) = free_ports(1)
        command = [sys.executable, "-c", REPORTING, folder, str(port)]
        _check_figures(command, port)


def _check_figures(command: list[str], port: int) -> None:
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        try:
            assert driver.stdout is not None
            assert any(line == "reported\n" for line in driver.stdout)
            deadline = time.monotonic() + PATIENCE_SECONDS
            found = scraped(port)
            while not any("stage_loss" in name for name in found):
                assert time.monotonic() < deadline, sorted(found)[:20]
                time.sleep(0.5)
                found = scraped(port)
            ours = {name: value for name, value in found.items() if "noisy_student" in name}
            assert sorted(ours.values()) == [0.5, 0.75, 321.0, 2.0**30]
            for name in ours:
                assert name.partition("{")[0].removeprefix("ray_") in {metric for metric, _ in STAGE_FIGURES.values()}
                assert all(label in name for label in ('run="run-1"', 'generation="2"', 'stage="select"'))
            gpus = [name for name in found if name.startswith("ray_resources{") and 'Name="GPU"' in name]
            assert any('State="AVAILABLE"' in name for name in gpus), gpus
        finally:
            driver.communicate("\n", timeout=60)


def test_a_process_outside_of_a_cluster_shows_nothing_and_imports_no_ray() -> None:
    code = (
        "import sys; from workers.runtime.stage_figures import StageFigures; "
        "StageFigures('run-1', 0, 'select').show({'loss': 1.0}); assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, timeout=60)


def test_values_without_a_metric_are_left_out() -> None:
    StageFigures("run-1", 0, "train").show({"unheard_of": 1.0})
