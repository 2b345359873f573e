"""What a stage records about the software that it ran with."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from workers.runtime.environment import describe_environment, source_digest


def test_it_has_versions_of_python_packages_and_code() -> None:
    environment = describe_environment()

    assert environment.python == platform.python_version()
    assert environment.packages["torch"] == version("torch")
    assert environment.packages["ray"] == version("ray")
    assert len(environment.code.source_digest) == 32


def test_the_commit_is_the_checkouts() -> None:
    here = Path(__file__).parents[3]
    command = ["git", "-C", str(here), "rev-parse", "HEAD"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert describe_environment().code.git_commit == (said.stdout.strip() or None)


def test_the_source_digest_changes_with_every_file_and_not_with_the_folder(tmp_path: Path) -> None:
    digests = []
    for name, text in (("one", "a = 1"), ("two", "a = 1"), ("three", "a = 2")):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "code.py").write_text(text)
        (tmp_path / name / "notes.txt").write_text(name)
        digests.append(source_digest(tmp_path / name))

    assert digests[0] == digests[1] != digests[2]
