"""Measures how long `from noisy_student import Client` takes in a fresh process."""

import subprocess
import sys
from typing import Literal

from benchmarks.results import row, save

COMMAND = "python -m benchmarks.house.client_import"
_TIMES = 20
_CODE = """
import time
began = time.{clock}()
from noisy_student import AsyncClient, Client
print(time.{clock}() - began)
"""


def main() -> None:
    best = sorted(import_seconds() for _ in range(_TIMES))[:5]
    rival = "the target: under 0.3; the best 5 of 20 fresh processes"
    save([row("house.client_import_seconds", best, "s", rival, COMMAND)])


def import_seconds(clock: Literal["perf_counter", "process_time"] = "perf_counter") -> float:
    """Seconds for the import in one fresh process, not counting the start of the process."""
    code = _CODE.format(clock=clock)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
