"""The control plane's image, tested without an image: an environment with only the extra `server`."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from noisy_student.local.ray_head import free_ports
from tests.deploy.places import REPOSITORY
from tests.deploy.tools import missing

TRIAL = REPOSITORY / "benchmarks" / "house" / "control_plane_trial.py"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_environment_with_the_control_planes_packages_alone_serves(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / Path(sys.executable).name
    project = f"{REPOSITORY}[server]"
    install = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(REPOSITORY / "constraints.txt")]
    installed = subprocess.run([*install, project], capture_output=True, text=True, timeout=600)
    if installed.returncode:
        missing("the package index", f"pip says: {installed.stderr.strip()[-500:]}")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOISY_STUDENT_", "PYTHON"))}
    [port] = free_ports(1)
    done = subprocess.run(
        [python, "-c", TRIAL.read_text(encoding="utf-8")],
        cwd=tmp_path,
        env={**kept, "NOISY_STUDENT_SERVER__PORT": str(port), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.stdout == "answers\n", done.stderr[-3000:]
