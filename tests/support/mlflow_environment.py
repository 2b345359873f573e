"""MLflow, server and client, in an environment of its own: it wants other versions than those pinned here.

The environment has what MLflow and its own requirements need beyond this one's packages, and then these. It is made
once, in build/mlflow, from a list of pinned versions.
"""

import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest
from filelock import FileLock

REPOSITORY = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).parent / "mlflow_requirements.txt"
_FOLDER = REPOSITORY / "build" / "mlflow"
_INSTALL_SECONDS = 150.0


def mlflow_python() -> Path:
    """The interpreter of the environment. Skips the test where the packages cannot be had; in CI they must be."""
    _FOLDER.parent.mkdir(exist_ok=True)
    with FileLock(_FOLDER.with_suffix(".lock"), timeout=2 * _INSTALL_SECONDS):
        made = _FOLDER / "made-of.txt"
        if not made.exists() or made.read_bytes() != REQUIREMENTS.read_bytes():
            _make()
            made.write_bytes(REQUIREMENTS.read_bytes())
    return _FOLDER / "bin" / "python"


def _make() -> None:
    venv.create(_FOLDER, clear=True, with_pip=True)
    pip = [str(_FOLDER / "bin" / "python"), "-m", "pip"]
    install = [*pip, "install", "--quiet", "--no-deps", "--requirement", str(REQUIREMENTS)]
    try:
        subprocess.run(install, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    except subprocess.SubprocessError as error:
        why = f"MLflow cannot be installed: {getattr(error, 'stderr', None) or error}"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    [packages] = _FOLDER.glob("lib/python*/site-packages")
    (packages / "the-others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")


def own_environment() -> dict[str, str]:
    """What its processes find in their environment: this checkout, and no settings of MLflow's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    options = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true", "PYTHONWARNINGS": "ignore"}
    return {**kept, **options, "PYTHONPATH": str(REPOSITORY)}
