"""The service starts even if a file is mounted read-only, as secrets are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.places import REPOSITORY

MOUNTED = """
import sys
from pathlib import Path
from service.private_files import tighten
left = tighten([Path(sys.argv[1])])
assert left == [Path(sys.argv[1])], left
print("goes on")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_file_on_a_read_only_mount_is_left_and_said(tmp_path: Path) -> None:
    file = tmp_path / "secret.keys"
    file.write_text("x", encoding="utf-8")
    file.chmod(0o644)
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" -c "$3" "$1/secret.keys"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", tmp_path, sys.executable, MOUNTED],
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if "unshare failed" in done.stderr:
        pytest.skip(f"no namespace of its own can be had: {done.stderr}")
    assert (done.returncode, done.stdout) == (0, "goes on\n"), done.stderr
