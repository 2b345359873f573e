"""Describes what a stage runs with: the version of the code, of Python and of packages. Imports no package for it."""

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from workers.specs.environment import CodeVersion, StageEnvironment

_PROJECT = "noisy-student"
_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "ray",
    "pyarrow",
    "numpy",
    "scipy",
    "pillow",
    "simplejpeg",
    "opencv-python-headless",
    "optuna",
    "safetensors",
    "pydantic",
)
"""The packages whose version can change what a stage decides."""
_SOURCES = Path(__file__).parents[1]
_GIT_TIMEOUT_SECONDS = 5


def describe_environment() -> StageEnvironment:
    """The environment of this process."""
    installed = {name: _version(name) for name in _PACKAGES}
    return StageEnvironment(
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: found for name, found in installed.items() if found is not None},
        code=CodeVersion(
            version=_version(_PROJECT), git_commit=_git_commit(_SOURCES), source_digest=source_digest(_SOURCES)
        ),
    )


def source_digest(folder: Path) -> str:
    """The blake2b digest of all Python files below `folder`: their relative names, sizes and contents, by name."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _git_commit(folder: Path) -> str | None:
    """The commit of the checkout; None if git does not track the folder, as of a package installed in a checkout."""
    try:
        if not _git(folder, "ls-files", "__init__.py"):
            return None
        return _git(folder, "rev-parse", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_SECONDS, check=True)
    return done.stdout.strip()
