"""The wheel contains every file that the code opens by path. It is built, installed outside a checkout, and tested."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("api", "noisy_student", "service", "workers")
LEFT_OUT = {"__pycache__"}
USE = """
import sys
from pathlib import Path
from fastapi.testclient import TestClient
import api
from api.app import create_app
from api.templates import _TEMPLATES, render
from noisy_student.local.demo.run import demo_run_config
from service.model_catalog import load_catalog
from service.config.settings.groups import AccessSettings
from service.settings import Settings
from service.store.migrate import upgrade

assert Path(api.__file__).is_relative_to(sys.argv[1]), api.__file__
assert demo_run_config()["generations"] == 3
assert "resnet18" in load_catalog()
settings = Settings(home=Path("home"), access=AccessSettings(allowed_hosts=("testserver",)))
Path("home").mkdir()
upgrade(settings.database_url)
with TestClient(create_app(settings)) as client:
    for file in Path(api.__file__).with_name("pages").rglob("*"):
        if file.parent.name == "static":
            assert client.get(f"/ui/static/{file.name}").content == file.read_bytes(), file
    for page in ("/", "/ui/runs/run-1", "/docs"):
        assert client.get(page).text.startswith("<!doctype html>"), page
for file in Path(api.__file__).with_name("templates").rglob("*.html"):
    _TEMPLATES.get_template(file.name)
assert render("runs.html").count("<h1>Runs</h1>") == 1
print("used")
"""


def source_files(root: Path) -> dict[str, bytes]:
    """The paths of all files of the packages."""
    return {
        str(file.relative_to(root)): file.read_bytes()
        for package in PACKAGES
        for file in (root / package).rglob("*")
        if file.is_file() and not LEFT_OUT & set(file.parts)
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the wheel's files, outside the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy, because building leaves files behind
    ignore = shutil.ignore_patterns(*LEFT_OUT)
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, source / package, ignore=ignore)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)], folder)
    shutil.rmtree(source)
    [wheel] = folder.glob("*.whl")
    run([*pip, "install", "--no-deps", "--no-index", "--target", str(folder / "installed"), str(wheel)], folder)
    return folder / "installed"


def run(command: list[str], folder: Path, **environment: str) -> str:
    """Runs the code outside the checkout, and returns its output."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env={**inherited, **environment}, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_has_every_file_of_the_packages(installed: Path) -> None:
    assert source_files(installed) == source_files(REPOSITORY)


def test_every_path_that_a_module_names_is_there(installed: Path) -> None:
    """Files are found by searching the modules for constants that are built from `__file__`."""
    named = {}
    for package in PACKAGES:
        for module in (installed / package).rglob("*.py"):
            for name, place in paths_named_in(module).items():
                named[f"{module.relative_to(installed)}: {name}"] = place
    assert {place.name for place in named.values()} >= {"digits_run.json", "timm.json", "migrations", "pages"}
    assert [name for name, place in named.items() if not place.exists()] == []


def paths_named_in(module: Path) -> dict[str, Path]:
    """The constants of a module that are built from `__file__`. Raises AssertionError if it is used in another way."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    constants = [node for node in tree.body if isinstance(node, ast.Assign) and uses_file(node)]
    used = sum(isinstance(node, ast.Name) and node.id == "__file__" for node in ast.walk(tree))
    assert used == len(constants), f"{module}: make a constant of the module of it, so that this test can ask for it"
    known = {"Path": Path, "__file__": str(module)}
    values = [eval(compile(ast.Expression(node.value), str(module), "eval"), known) for node in constants]
    return {ast.unparse(node.targets[0]): value for node, value in zip(constants, values, strict=True)}


def uses_file(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "__file__" for each in ast.walk(node))


def test_what_the_demo_and_the_pages_read_is_read_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    said = run([sys.executable, "-c", USE, str(installed)], tmp_path, PYTHONPATH=str(installed))
    assert said.endswith("used\n")
