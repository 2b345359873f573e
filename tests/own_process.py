"""Modules marked `own_process` run in a child pytest, so that what they do to their process ends with it.

One that enters a network namespace, for example: the threads that libraries start meanwhile, such as pyarrow's, stay in
it after the test has left, and reach no server of a later test.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.limits import limit_seconds

_GRACE_SECONDS = 120
"""How much longer the parent waits for a test than the child's own limits, which say more about what hung."""
_child = pytest.StashKey["ChildSession | None"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reports-to", type=int, help="a child session writes its reports to this file descriptor")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_child] = None
    if (descriptor := config.getoption("reports_to")) is not None:
        config.pluginmanager.register(_Reporter(config, descriptor))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _runs_elsewhere(item):
            item.add_marker(pytest.mark.timeout(limit_seconds(item) + _GRACE_SECONDS), append=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    if not _runs_elsewhere(item):
        return None
    stash = item.config.stash
    child = stash[_child] = stash[_child] or ChildSession(item)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in child.reports_of(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    # What an earlier test of this process shared with this one, such as its folder's fixtures, ends here as elsewhere.
    item.session._setupstate.teardown_exact(nextitem)
    if nextitem is None or nextitem.path != item.path:
        _close_child(item.config)
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    _close_child(session.config)


class ChildSession:
    """A pytest that runs the tests of one module that were chosen, and gives its reports by test."""

    def __init__(self, first: pytest.Item) -> None:
        config = first.config
        chosen = [item.nodeid for item in first.session.items if item.path == first.path]
        readable, writable = os.pipe()
        self._config = config
        self._left = set(chosen)
        self._reports: dict[str, list[pytest.TestReport]] = defaultdict(list)
        folder = Path(tempfile.mkdtemp(prefix="p"))
        self._output = folder / "output"
        command = [
            *(sys.executable, "-m", "pytest", f"--reports-to={writable}", "-m", "", *chosen),
            *("-p", "no:xdist", "-p", "no:randomly", "-p", "no:cacheprovider", f"--basetemp={folder / 't'}"),
        ]
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                command,
                cwd=config.rootpath,
                env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[writable],
            )
        os.close(writable)
        self._pipe = Connection(readable, writable=False)

    def reports_of(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """Yields the reports of a test's setup, call and end. A child that dies before them fails the test."""
        while not any(report.when == "teardown" for report in self._reports[item.nodeid]):
            try:
                data = self._pipe.recv()
            except EOFError:
                yield self._death(item)
                return
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
            self._reports[report.nodeid].append(report)
        self._left.discard(item.nodeid)
        yield from self._reports.pop(item.nodeid)

    def close(self) -> None:
        """Ends the child as Ctrl-C does, if it still runs, so that its fixtures end what they started."""
        if self._left and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_GRACE_SECONDS)
        finally:
            self._process.kill()
            self._pipe.close()

    def _death(self, item: pytest.Item) -> pytest.TestReport:
        status = self._process.wait(_GRACE_SECONDS)
        said = self._output.read_text(errors="replace")
        said = f"the process of {item.path.name} ended with status {status} before this test:\n{said}"
        return pytest.TestReport(item.nodeid, item.location, {}, "failed", said, "call")


class _Reporter:
    def __init__(self, config: pytest.Config, descriptor: int) -> None:
        self._config = config
        self._pipe = Connection(descriptor, readable=False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._pipe.send(self._config.hook.pytest_report_to_serializable(config=self._config, report=report))


def _runs_elsewhere(item: pytest.Item) -> bool:
    return item.get_closest_marker("own_process") is not None and item.config.getoption("reports_to") is None


def _close_child(config: pytest.Config) -> None:
    if (child := config.stash[_child]) is not None:
        config.stash[_child] = None
        child.close()
