"""The rows of benchmarks/results.json, and RESULTS.md, which is generated from them."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import TypedDict

from benchmarks.notes import NOTES

RESULTS_PATH = Path(__file__).with_name("results.json")
REPORT_PATH = Path(__file__).with_name("RESULTS.md")
_PACKAGES = ("ray", "torch", "timm", "pyarrow")


class ResultRow(TypedDict):
    """One figure as in results.json."""

    name: str
    value: float
    unit: str
    rival: str
    spread: float | None
    runs: list[float]
    command: str
    machine: str
    versions: dict[str, str]
    date: str


def row(name: str, values: Sequence[float], unit: str, rival: str, command: str) -> ResultRow:
    """A row with the mean over runs, and the standard deviation as its spread."""
    return {
        "name": name,
        "value": round(mean(values), 4),
        "unit": unit,
        "rival": rival,
        "spread": round(stdev(values), 4) if len(values) > 1 else None,
        "runs": [round(value, 4) for value in values],
        "command": command,
        "machine": f"{os.cpu_count()} cores, {_memory_gib()} GiB, {platform.machine()}, {_gpu()}",
        "versions": {
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in _PACKAGES},
        },
        "date": datetime.now(UTC).date().isoformat(),
    }


def save(rows: Sequence[ResultRow]) -> None:
    """Replaces earlier rows with the same names, and rewrites the report."""
    kept: list[ResultRow] = json.loads(RESULTS_PATH.read_text(encoding="utf-8")) if RESULTS_PATH.exists() else []
    by_name = {each["name"]: each for each in [*kept, *rows]}
    ordered = [by_name[name] for name in sorted(by_name)]
    RESULTS_PATH.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    REPORT_PATH.write_text(report(ordered), encoding="utf-8")


def report(rows: Sequence[ResultRow]) -> str:
    """The rows as Markdown, grouped by the command that measures them."""
    lines = ["# Results", "", "Generated from `results.json`; do not edit by hand. Spread is the standard deviation."]
    for command in sorted({each["command"] for each in rows}):
        group = [each for each in rows if each["command"] == command]
        first = group[0]
        versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
        lines += ["", f"## `{command}`", "", f"{first['date']}, {first['machine']}; {versions}", ""]
        lines += ["| figure | value | spread | runs | unit | baseline |", "| --- | --- | --- | --- | --- | --- |"]
        lines += [_line(each) for each in group]
        if command in NOTES:
            lines += ["", NOTES[command]]
    return "\n".join(lines) + "\n"


def _line(each: ResultRow) -> str:
    spread = "" if each["spread"] is None else f"± {each['spread']}"
    runs = ", ".join(str(value) for value in each["runs"])
    return f"| {each['name']} | {each['value']} | {spread} | {runs} | {each['unit']} | {each['rival']} |"


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
