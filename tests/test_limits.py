"""A test that hangs anywhere ends with the stacks of all threads, tested in a separate session."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
TESTS = {
    "a lock that nobody lets go": """
        def test_it():
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
    """,
    "a thread that is joined": """
        def test_it():
            thread = threading.Thread(target=hang_in_a_thread, daemon=True)
            thread.start()
            thread.join()
    """,
    "a fixture's end": """
        @pytest.fixture
        def slow():
            yield
            threading.Event().wait()

        def test_it(slow):
            pass
    """,
    "a call into C, and after the limit": """
        def test_it():
            while True:
                try:
                    threading.Event().wait()
                except BaseException:
                    pass
    """,
    "a thread that outlives the session": """
        def test_it():
            threading.Thread(target=hang_in_a_thread).start()
    """,
}
HEAD = """
import threading
import pytest

def hang_in_a_thread():
    threading.Event().wait()
"""


@pytest.mark.parametrize("where", TESTS)
def test_a_session_whose_test_hangs_ends_and_says_where(tmp_path: Path, where: str) -> None:
    body = "\n".join(line[8:] for line in TESTS[where].splitlines())
    (tmp_path / "test_hanging.py").write_text(HEAD + body)
    (tmp_path / "conftest.py").write_text("from tests import limits\nlimits._GRACE_SECONDS = 1\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "tests.limits", "-p", "pytest_timeout", "-p", "no:cacheprovider"),
            "--timeout-method=signal",
            *("-o", "timeout=1", f"--rootdir={tmp_path}", f"--confcutdir={tmp_path}", str(tmp_path)),
        ],
        cwd=REPOSITORY,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # some take seconds to import
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "test_hanging.py" in said
    if "thread" in where:
        assert "hang_in_a_thread" in said
