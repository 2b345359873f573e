"""A real store, real small datasets and the real application for the API's tests."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from api.app import create_app
from service.settings import Settings
from service.store.migrate import upgrade

Register = Callable[..., str]
CLASSES = ("cat", "dog")


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty database with all tables, migrated once: each test gets a copy."""
    file = tmp_path_factory.mktemp("migrated") / "empty.db"
    upgrade(f"sqlite:///{file}")
    return file.read_bytes()


@pytest.fixture
def settings(tmp_path: Path, migrated_database: bytes) -> Settings:
    home = tmp_path / "home"
    home.mkdir()
    (home / "noisy-student.db").write_bytes(migrated_database)
    # Nothing listens on port 9 (discard): Ray is away.
    return Settings(home=home, ray_jobs_url="http://127.0.0.1:9")


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def write_images(file: Path, first_color: int, rows: int, labels: tuple[str, ...] = ()) -> Path:
    """A Parquet file of `rows` distinct 8x8 pictures; labels are repeated over the rows, where there are any."""
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = {"image": pa.array([_png(first_color + row) for row in range(rows)], pa.binary())}
    if labels:
        columns["label"] = pa.array([labels[row % len(labels)] for row in range(rows)])
    pq.write_table(pa.table(columns), file)
    return file


def _png(color: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (color % 256, color // 256, 99)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def register(client: TestClient, tmp_path: Path) -> Register:
    """Registers a dataset of pictures of the given colours over REST, and gives its id."""

    def register(name: str, role: str, first_color: int, rows: int = 4, classes: tuple[str, ...] = CLASSES) -> str:
        file = write_images(tmp_path / "images" / f"{name}.parquet", first_color, rows, classes)
        answer = client.post("/datasets", json={"name": name, "role": role, "uri": str(file)})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    return register


@pytest.fixture
def datasets(register: Register) -> dict[str, str]:
    """The four datasets of a run; no two share a picture."""
    return {
        "labeled": register("labeled", "labeled", 0),
        "unlabeled": register("unlabeled", "unlabeled", 100, rows=6, classes=()),
        "validation": register("validation", "evaluation", 200),
        "test": register("test", "evaluation", 300),
    }


@pytest.fixture
def run_config(datasets: dict[str, str]) -> dict[str, object]:
    """The body of a run that can work."""
    recipe = {"image_size": 32, "steps": 200, "noise": {"dropout": 0.1, "drop_path": 0.1}}
    return {
        "name": "cats and dogs",
        "datasets": datasets,
        "teacher_model": "test_resnet",
        "student_models": ["test_resnet"],
        "generations": 2,
        "teacher_recipe": {**recipe, "unlabeled_ratio": 0},
        "student_recipe": recipe,
    }
