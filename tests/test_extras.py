"""Each extra contains what its part needs, tested in fresh processes that have only that extra's packages."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution, distributions, files
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
OURS = ("api", "noisy_student", "service", "workers")
OF_THE_SERVICE = """
import importlib, pkgutil, sys
import api, service
for package in (api, service):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if ".migrations" not in module.name and "__main__" not in module.name and not module.name.endswith("generate"):
            importlib.import_module(module.name)
from pathlib import Path
from api.app import create_app
from service.settings import Settings
from service.store.migrate import upgrade
import threading, uvicorn
settings = Settings(home=Path("home"))
Path("home").mkdir()
upgrade(settings.database_url)
server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_config=None))
thread = threading.Thread(target=server.run, daemon=True)
thread.start()
while not server.started:
    thread.join(0.01)
from noisy_student import Client
with Client(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}") as client:
    assert client.service.health().status == "ok"
    assert list(client.runs.list()) == []
server.should_exit = True
thread.join(30)
assert not {"ray", "torch", "timm"} & set(sys.modules)
print("served")
"""
OF_THE_WORKERS = """
import importlib, pkgutil
import workers
for module in pkgutil.walk_packages(workers.__path__, "workers."):
    importlib.import_module(module.name)
print("imported")
"""


def _requirements(*extras: str) -> Iterator[Requirement]:
    """The requirements of the base install and of the extras."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in [
        *project["dependencies"],
        *(each for extra in extras for each in project["optional-dependencies"][extra]),
    ]:
        yield Requirement(line)


def _closure(wanted: Iterable[Requirement]) -> set[str]:
    """The names of the distributions that pip would install for these, as far as they are installed here."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [each for each in wanted if each.marker is None or each.marker.evaluate()]
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in found:
            continue
        found.add(key)
        for line in distribution(requirement.name).requires or []:
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in ("", *requirement.extras)):
                waiting.append(needed)
    return {name for name, _ in found}


def _environment(folder: Path, *extras: str) -> Path:
    """A folder with links to the packages of the base install and of the extras, and to this project's."""
    folder.mkdir()
    for name in OURS:
        (folder / name).symlink_to(REPOSITORY / name)
    # An editable install also leaves an egg-info in the checkout, which would be found first.
    ours = [file for each in distributions(name="noisy-student") for file in each.files or []]
    metadata = next(Path(str(file.locate())).parent for file in ours if file.name == "METADATA")
    (folder / metadata.name).symlink_to(metadata)  # this project's own metadata, which every install has
    for name in _closure(_requirements(*extras)):
        for file in files(name) or []:
            top = file.parts[0]
            if top in ("..", "__pycache__") or (folder / top).is_symlink():
                continue
            (folder / top).symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / top)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _environment(tmp_path_factory.mktemp("base") / "packages")


def _run(packages: Path, code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the code without the site packages of this environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NOISY_STUDENT_")}
    return subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(packages), "XDG_STATE_HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=150,
    )


def _command(*words: str) -> str:
    return f"import sys; from noisy_student.cli.main import app; sys.argv[1:] = {list(words)!r}; app()"


def test_the_base_install_has_client_and_command_line(base: Path, tmp_path: Path, server: str) -> None:
    assert not [name for name in ("sqlalchemy", "ray", "torch", "fastapi", "numpy") if (base / name).exists()]
    helped = _run(base, _command("--help"), tmp_path)
    assert (helped.returncode, "runs" in helped.stdout) == (0, True), helped.stderr
    listed = _run(base, _command("runs", "list", "-o", "json"), tmp_path, NOISY_STUDENT_API=server)
    assert (listed.returncode, listed.stdout.strip()) == (0, "[]"), listed.stderr


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["up"], "all"),
        (["demo"], "all,demo"),
        (["doctor", "--api", "http://127.0.0.1:9"], "server"),  # another service may be up on this machine
        (["keys", "list"], "server"),
        (["models", "push", "m", "team/student"], "hub"),
        (["models", "export", "m", "-o", "m.onnx", "--images", "."], "worker,export"),
        (["models", "export", "m", "-o", "m.pt2", "--images", ".", "--format", "torch-export"], "worker"),
        (["keys", "create", "--name", "first", "--scope", "admin"], "server"),
        (["keys", "revoke", "key-1"], "server"),
    ],
)
def test_a_command_that_needs_an_extra_says_which(base: Path, tmp_path: Path, words: list[str], extra: str) -> None:
    done = _run(base, _command(*words), tmp_path)
    assert done.returncode == 2
    assert f"pip install 'noisy-student[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["api", "service.reconcile"])
def test_a_process_of_the_control_plane_says_which_extra_it_needs(base: Path, tmp_path: Path, module: str) -> None:
    started = f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    done = _run(base, started, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"python -m {module} needs ")
    assert done.stderr.endswith(": pip install 'noisy-student[server]'\n")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_control_plane_serves_without_ray_and_torch(tmp_path: Path) -> None:
    packages = _environment(tmp_path / "packages", "server")
    assert not (packages / "ray").exists()
    (tmp_path / "work").mkdir()
    done = _run(packages, OF_THE_SERVICE, tmp_path / "work")
    assert done.stdout.strip().endswith("served"), done.stderr


def test_the_stages_need_nothing_of_the_control_plane(tmp_path: Path) -> None:
    packages = _environment(tmp_path / "packages", "worker")
    assert not (packages / "uvicorn").exists()
    (tmp_path / "work").mkdir()
    done = _run(packages, OF_THE_WORKERS, tmp_path / "work")
    assert done.stdout.strip().endswith("imported"), done.stderr
