"""Checks what the service needs on this machine, and says how to fix what is missing."""

import importlib.metadata
import os
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import psutil
from pydantic import ValidationError

from noisy_student.findings import Finding
from service.settings import Settings, free_bytes, wrong_settings
from service.store.database import Database
from workers.artifact_io import delete_if_there, join_uri, open_filesystem, write_bytes

_PACKAGES = ("ray", "torch", "torchvision", "timm", "pyarrow", "safetensors", "fastapi", "sqlalchemy", "alembic")
_OLDEST_PYTHON = (3, 11)
_TESTED_RAY = "2.60"
_GIB = 2**30


def examine(api: str) -> list[Finding]:
    """All findings, the most important first."""
    machine = [_python(), _cores(), _memory(), *map(_package, _PACKAGES)]
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = "; ".join(wrong_settings(error))
        return [*machine, Finding("settings", "fail", wrong, "correct the environment variable")]
    return [
        *machine,
        _disk(settings.home),
        _database(settings.database_url),
        _artifact_root(settings.artifact_root),
        _answers("API", f"{api.rstrip('/')}/healthz", "start it: noisy-student up, or python -m api"),
        _ray(settings),
    ]


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= _OLDEST_PYTHON:
        return Finding("Python", "ok", found)
    return Finding("Python", "fail", found, "install Python 3.11 or newer")


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores >= 2:
        return Finding("processor cores", "ok", str(cores))
    return Finding("processor cores", "warn", str(cores), "two or more let training and labeling keep up")


def _memory() -> Finding:
    gib = psutil.virtual_memory().total / _GIB
    if gib >= 6:
        return Finding("memory", "ok", f"{gib:.1f} GiB")
    return Finding("memory", "warn", f"{gib:.1f} GiB", "a local Ray head and two training workers want 6 GiB")


def _package(name: str) -> Finding:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "fail", "not installed", "pip install 'noisy-student[all]'")
    if name == "ray" and not version.startswith(f"{_TESTED_RAY}."):
        return Finding(name, "warn", version, f"tested with {_TESTED_RAY}")
    return Finding(name, "ok", version)


def _disk(home: Path) -> Finding:
    gib = free_bytes(home) / _GIB
    found = f"{gib:.1f} GiB free at {home}"
    if gib >= 5:
        return Finding("disk", "ok", found)
    hint = "free some space, or set NOISY_STUDENT_HOME to another disk"
    return Finding("disk", "fail" if gib < 0.5 else "warn", found, hint)


def _database(url: str) -> Finding:
    file = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not file.exists():  # connecting would create an empty database
        return Finding("database", "ok", f"{file} is not there yet; the API makes it")
    return _try("database", lambda: _connect(url), "check NOISY_STUDENT_DATABASE_URL, and that the server runs")


def _connect(url: str) -> str:
    database = Database(url)
    try:
        with database.read() as session:
            session.connection()
        return f"{database.engine.dialect.name} answers"
    finally:
        database.close()


def _artifact_root(root: str) -> Finding:
    return _try("artifact root", lambda: _write_and_delete(root), "check NOISY_STUDENT_ARTIFACT_ROOT and its rights")


def _write_and_delete(root: str) -> str:
    # The check must not create a missing folder, so it checks the folder that would contain it.
    folder = root if "://" in root else str(_nearest_existing(Path(root)))
    probe = join_uri(folder, f".doctor-{uuid.uuid4().hex}")
    write_bytes(probe, b"")
    delete_if_there(*open_filesystem(probe))
    return f"{root} can be written"


def _ray(settings: Settings) -> Finding:
    token = settings.ray.auth_token
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    hint = "start it: noisy-student up, or ray start"
    return _answers("Ray's jobs API", f"{settings.ray.jobs_url}/api/version", hint, headers)


def _answers(subject: str, url: str, hint: str, headers: Mapping[str, str] | None = None) -> Finding:
    try:
        response = httpx.get(url, headers=headers, timeout=3, trust_env=False)
    except httpx.ConnectError:
        return Finding(subject, "warn", f"nothing listens at {url}", hint)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Finding(subject, "fail", f"{url}: {error}", "check the address")
    if response.is_success:
        return Finding(subject, "ok", f"{url} answers")
    if response.status_code in (401, 403):
        return Finding(subject, "warn", f"{url} asks for a token", "set NOISY_STUDENT_RAY__AUTH_TOKEN to Ray's")
    return Finding(subject, "fail", f"{url} answers {response.status_code}", "another program may hold the port")


def _try(subject: str, look: Callable[[], str], hint: str) -> Finding:
    try:
        return Finding(subject, "ok", look())
    except Exception as error:  # whatever a driver or file system raises is the finding
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return Finding(subject, "fail", lines[0], hint)


def _nearest_existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())
