"""`noisy-student run` turns folders of pictures into a run: registered, split, chosen, asked about and followed."""

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from fastapi.testclient import TestClient
from typer.testing import CliRunner, Result

from noisy_student.cli.commands import run as command
from noisy_student.cli.main import app as commands
from tests.support.application import StubRay
from tests.support.picture_folders import write_flat, write_pictures

Cli = Callable[..., Result]
COUNTS = {"roof": 20, "sky": 20, "petal": 10, "leaf": 2}


@pytest.fixture
def cli(server: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs `noisy-student run` against the server."""
    monkeypatch.setenv("NOISY_STUDENT_API", server)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object, input: str | None = None) -> Result:
        return CliRunner().invoke(commands, ["run", *map(str, arguments)], input=input)

    return run


@pytest.fixture
def labeled(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "views", COUNTS)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return write_flat(tmp_path / "pool", {"roof": 30, "sky": 30}, first=100)


def _done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


def _runs(client: TestClient) -> list[dict[str, Any]]:
    return [client.get(f"/runs/{run['id']}").json() for run in client.get("/runs").json()["items"]]


def _datasets(client: TestClient) -> list[dict[str, Any]]:
    found = client.get("/datasets").json()["items"]
    assert isinstance(found, list)
    return found


def test_one_line_registers_splits_chooses_and_starts(
    cli: Cli, client: TestClient, labeled: Path, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(labeled.parent)
    output = _done(cli("--labeled", "views", "--unlabeled", "./pool", "--yes"))
    assert (
        "took 10 % of each class, at least one image: 5 images for validation and 5 images for test, seed 0" in output
    )
    assert "nothing is moved or copied" in output
    assert "leaf (2)" in output
    assert "1 of .txt" in output
    [run] = _runs(client)
    assert run["id"] in output
    assert f"/ui/runs/{run['id']}" in output
    assert (run["config"]["preset"], run["config"]["generations"]) == ("small-pictures", 3)
    assert run["config"]["student_recipe"]["image_size"] == 64
    assert run["config"]["student_recipe"]["steps"] == 200
    rows = {dataset["id"]: dataset["rows"] for dataset in _datasets(client)}
    parts = {part: rows[dataset] for part, dataset in run["config"]["datasets"].items() if dataset}
    assert parts == {"labeled": 42, "validation": 5, "test": 5, "unlabeled": 60}


def test_the_same_line_again_registers_nothing_twice(cli: Cli, client: TestClient, labeled: Path, pool: Path) -> None:
    for _ in range(2):
        _done(cli("--labeled", labeled, "--unlabeled", pool, "--yes"))
    assert len(_datasets(client)) == 4
    first, second = _runs(client)
    assert first["config"]["datasets"] == second["config"]["datasets"]


def test_a_dry_run_prints_yaml_that_starts_the_same_run(
    cli: Cli, client: TestClient, labeled: Path, pool: Path, tmp_path: Path
) -> None:
    result = cli("--labeled", labeled, "--unlabeled", pool, "--generations", 1, "--name", "dry: run", "--dry-run")
    _done(result)
    assert _runs(client) == []
    body = yaml.safe_load(result.stdout)
    assert body["name"] == "dry: run"
    assert "# pictures of some" in result.stdout
    assert "took 10 %" in result.stderr
    (tmp_path / "run.yaml").write_text(result.stdout)
    _done(cli("-f", tmp_path / "run.yaml", "--yes"))
    _done(CliRunner().invoke(commands, ["runs", "create", "-f", str(tmp_path / "run.yaml")]))
    _done(cli("--labeled", labeled, "--unlabeled", pool, "--generations", 1, "--name", "dry: run", "--yes"))
    configs = [run["config"] for run in _runs(client)]
    assert len(configs) == 3
    assert configs[0] == configs[1] == configs[2]


def test_options_and_the_file_count_more_than_what_is_chosen(
    cli: Cli, client: TestClient, labeled: Path, pool: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text("priority: 7\nselection: {min_confidence: 0.7}\n")
    given = ("--model", "resnet18", "--preset", "paper-b0", "--seed", 5, "--generations", 2)
    _done(cli("--labeled", labeled, "--unlabeled", pool, "-f", tmp_path / "own.yaml", "--yes", *given))
    [run] = _runs(client)
    config = run["config"]
    assert (config["preset"], config["teacher_model"], config["student_models"]) == (
        "paper-b0",
        "resnet18",
        ["resnet18"],
    )
    assert (config["priority"], config["selection"]["min_confidence"], config["seed"]) == (7, 0.7, 5)
    assert {dataset["part"]["seed"] for dataset in _datasets(client) if dataset["part"]} == {5}


def test_the_teachers_model_of_a_file_is_that_of_the_students_too(
    cli: Cli, client: TestClient, labeled: Path, pool: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.json").write_text('{"teacher_model": "resnet18"}')
    _done(cli("--labeled", labeled, "--unlabeled", pool, "-f", tmp_path / "own.json", "--yes"))
    assert _runs(client)[0]["config"]["student_models"] == ["resnet18"]


def test_a_model_without_drop_path_trains_without_it(cli: Cli, client: TestClient, labeled: Path, pool: Path) -> None:
    output = _done(cli("--labeled", labeled, "--unlabeled", pool, "--model", "mobilenetv1_100", "--yes"))
    assert "teacher_recipe: without drop path, for which the model has no layers" in output
    assert _runs(client)[0]["config"]["student_recipe"]["noise"]["drop_path"] == 0


def test_given_validation_and_test_images_are_taken_and_nothing_is_split(
    cli: Cli, client: TestClient, labeled: Path, pool: Path, tmp_path: Path
) -> None:
    validation = write_pictures(tmp_path / "val", {"roof": 3, "sky": 3}, first=40)
    test = write_pictures(tmp_path / "held", {"roof": 3, "petal": 3}, first=50)
    given = ("--validation", validation, "--test", test)
    output = _done(cli("--labeled", labeled, "--unlabeled", pool, *given, "--yes"))
    assert "took" not in output
    sizes = {dataset["role"]: dataset["rows"] for dataset in _datasets(client)}
    assert sizes == {"labeled": 52, "evaluation": 6, "unlabeled": 60}


def test_only_what_is_missing_is_split_off(
    cli: Cli, client: TestClient, labeled: Path, pool: Path, tmp_path: Path
) -> None:
    test = write_pictures(tmp_path / "held", {"roof": 3, "petal": 3}, first=50)
    output = _done(cli("--labeled", labeled, "--unlabeled", pool, "--test", test, "--yes"))
    assert "at least one image: 6 images for validation, seed 0" in output
    assert sorted(dataset["rows"] for dataset in _datasets(client)) == [6, 6, 46, 60]


def test_the_splits_of_a_folder_are_used(cli: Cli, client: TestClient, tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val", "test")):
        write_pictures(tmp_path / "set" / split, {"roof": 5, "sky": 5}, first=20 * number)
    shutil.copytree(write_flat(tmp_path / "pool", {"roof": 8}, first=100), tmp_path / "set" / "unlabeled")
    output = _done(cli("--labeled", tmp_path / "set", "--yes"))
    assert "took" not in output
    [run] = _runs(client)
    uris = {dataset["id"]: Path(dataset["uri"]).name for dataset in _datasets(client)}
    assert {part: uris[each] for part, each in run["config"]["datasets"].items() if each} == {
        "labeled": "train",
        "validation": "val",
        "test": "test",
        "unlabeled": "unlabeled",
    }


def test_labeled_images_among_the_unlabeled_are_left_out_there(
    cli: Cli, client: TestClient, labeled: Path, tmp_path: Path
) -> None:
    write_flat(tmp_path / "pool", {"roof": 8}, first=100)
    everything = tmp_path / "everything"
    shutil.copytree(labeled, everything / "views")
    shutil.copytree(tmp_path / "pool", everything / "pool")
    output = _done(cli("--labeled", everything / "views", "--unlabeled", everything, "--yes"))
    assert "52 image(s) are left out" in output
    assert {dataset["rows"] for dataset in _datasets(client) if dataset["role"] == "unlabeled"} == {8}


def test_the_labeled_folder_as_the_unlabeled_one_is_refused(cli: Cli, labeled: Path) -> None:
    result = cli("--labeled", labeled, "--unlabeled", labeled, "--yes")
    assert result.exit_code == 4
    assert "all 52 images" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "name the labeled images"),
        (("--labeled", "views", "--unlabeled", "pool"), "--yes starts without a question"),
        (("--labeled", "views", "--yes", "--budget", "soon"), "no duration"),
    ],
)
def test_wrong_use_ends_with_2_before_anything_is_registered(
    cli: Cli, client: TestClient, arguments: tuple[str, ...], complaint: str
) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert _datasets(client) == []


def test_a_folder_without_labels_and_one_that_is_not_there_are_named(cli: Cli, pool: Path, labeled: Path) -> None:
    unlabeled = cli("--labeled", pool, "--unlabeled", pool, "--yes")
    assert unlabeled.exit_code == 1
    assert "no labels were found" in unlabeled.stderr
    missing = cli("--labeled", labeled, "--yes")
    assert "name them with --unlabeled, or --generations 0" in missing.stderr
    absent = cli("--labeled", labeled, "--unlabeled", labeled / "absent", "--yes")
    assert absent.exit_code == 4
    assert "absent" in absent.stderr


@pytest.mark.usefixtures("reconciling")
def test_it_is_followed_to_its_end_and_the_gain_is_said(cli: Cli, labeled: Path, pool: Path) -> None:
    output = _done(cli("--labeled", labeled, "--unlabeled", pool, "--generations", 2, "--yes", "--follow"))
    assert "teacher 80.0 % (95 % interval" in output
    assert "The last student is 15.0 points better than its teacher" in output


@pytest.mark.usefixtures("reconciling")
def test_a_run_that_fails_ends_with_its_exit_code(cli: Cli, ray: StubRay, labeled: Path, pool: Path) -> None:
    ray.failing["train"] = "no such device"
    result = cli("--labeled", labeled, "--unlabeled", pool, "--yes", "--follow")
    assert result.exit_code == 7
    assert "no such device" in result.output


@pytest.mark.usefixtures("reconciling")
@pytest.mark.parametrize(("answer", "started"), [("y", 1), ("n", 0)])
def test_the_bill_is_shown_and_a_yes_starts(
    cli: Cli, client: TestClient, labeled: Path, pool: Path, monkeypatch: pytest.MonkeyPatch, answer: str, started: int
) -> None:
    monkeypatch.setattr(command, "_can_be_asked", lambda: True)
    output = _done(cli("--labeled", labeled, "--unlabeled", pool, "--no-follow", "--price", 2, input=f"{answer}\n"))
    assert "device hours" in output
    assert "price" in output
    assert len(_runs(client)) == started


@pytest.mark.usefixtures("reconciling")
def test_a_budget_takes_generations_and_steps_away_and_says_so(
    cli: Cli, client: TestClient, labeled: Path, pool: Path
) -> None:
    common = ("--labeled", labeled, "--unlabeled", pool, "--yes")
    large = _done(cli(*common, "--budget", "30d"))
    assert "within the budget of 30.0 d" in large or "within the budget of 30 d" in large
    refused = cli(*common, "--budget", "1s")
    assert refused.exit_code == 1
    assert "pictures of 64 px: they are read at 48" in refused.output
    assert "pictures of 48 px: they are read at 32" in refused.output
    least = refused.stderr.partition("give --budget ")[2].split()[0]
    small = _done(cli(*common, "--budget", least))
    assert "to fit into" in small
    newest, oldest = _runs(client)
    assert newest["config"]["generations"] < oldest["config"]["generations"] == 3
    assert newest["config"]["teacher_recipe"]["steps"] < oldest["config"]["teacher_recipe"]["steps"]


def test_nothing_that_answers_elsewhere_is_started_here(labeled: Path, pool: Path) -> None:
    nobody = "http://127.0.0.1:9"
    given = ["run", "--labeled", str(labeled), "--unlabeled", str(pool), "--yes", "--api", nobody]
    result = CliRunner().invoke(commands, given)
    assert result.exit_code == 6
    assert "noisy-student up" in result.stderr


def _as_parquet(folder: Path, pictures: list[Path], labels: list[str] | None) -> Path:
    folder.mkdir()
    for half in (0, 1):
        columns: dict[str, list[Any]] = {"image": [each.read_bytes() for each in pictures[half::2]]}
        if labels is not None:
            columns["label"] = labels[half::2]
        pq.write_table(pa.table(columns), folder / f"{half}.parquet")
    return folder


def _as_list(folder: Path, pictures: list[Path], labels: list[str] | None) -> Path:
    folder.mkdir()
    rows = [f"{each}" if labels is None else f"{each},{labels[row]}" for row, each in enumerate(pictures)]
    lines = ["filename" if labels is None else "filename,category", *rows]
    (folder / "list.csv").write_text("\n".join(lines))
    return folder / "list.csv"


def _as_tar(folder: Path, pictures: list[Path], labels: list[str] | None) -> Path:
    folder.mkdir()
    with tarfile.open(folder / "0.tar", "w") as tar:
        for number, picture in enumerate(pictures):
            tar.add(picture, f"{number:04}.{picture.suffix.lstrip('.')}")
            if labels is not None:
                (folder / "label").write_text(labels[number])
                tar.add(folder / "label", f"{number:04}.cls")
    (folder / "label").unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize("write", [_as_parquet, _as_list, _as_tar])
def test_other_forms_of_labeled_images_are_split_alike(
    cli: Cli, client: TestClient, labeled: Path, pool: Path, tmp_path: Path, write: Callable[..., Path]
) -> None:
    pictures = sorted(file for file in labeled.glob("*/*"))
    place = write(tmp_path / "it's ümläut", pictures, [file.parent.name for file in pictures])
    everything = write(tmp_path / "everything", [*pictures, *sorted(pool.glob("*.*"))], None)
    _done(cli("--labeled", place, "--unlabeled", everything, "--yes"))
    rows = {dataset["id"]: dataset["rows"] for dataset in _datasets(client)}
    [run] = _runs(client)
    parts = {part: rows[dataset] for part, dataset in run["config"]["datasets"].items() if dataset}
    assert parts == {"labeled": 42, "validation": 5, "test": 5, "unlabeled": 60}
