"""The examples of docs/client.md work as written, and the page names everything that the client has."""

import re
from pathlib import Path
from typing import Any

import pytest

import noisy_student
from noisy_student.client import PARTS
from noisy_student.connection import API_VARIABLE

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("reconciling")
def test_the_examples_run_one_after_the_other(
    server: str, datasets: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(API_VARIABLE, server)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 5
    names: dict[str, Any] = {"datasets": datasets}
    for number, block in enumerate(blocks):
        exec(compile(block, f"docs/client.md, example {number + 1}", "exec"), names)
    printed = capsys.readouterr().out
    assert "succeeded [0.8, 0.9]" in printed
    assert "run_succeeded" in printed
    assert "teacher_model" in printed
    names["client"].close()


def test_the_page_names_every_part_and_every_error() -> None:
    missing = [part for part in PARTS if f"`{part}`" not in PAGE]
    missing += [name for name in noisy_student.__all__ if name[0].isupper() and f"{name}" not in PAGE]
    assert missing == []
