"""A test session's temporary folder. It and everything that the session starts end with the session, however it ends.

It contains everything that the tests, and the processes that they start, put into the temporary folder.
"""

import os
import tempfile

import pytest

from noisy_student.local.owned_folder import OwnedFolder

_owned = pytest.StashKey[OwnedFolder]()
_failed = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or config.getoption("reports_to", None) is not None:
        return  # one of several processes, which has inherited the folder and the mark
    owned = OwnedFolder("ns-")  # short, because the paths of Ray's sockets may have at most 107 bytes
    owned.make()
    owned.path.chmod(0o711)  # so that PostgreSQL's user can pass through
    os.environ.update({**owned.environment, "TMPDIR": str(owned.path)})
    tempfile.tempdir = None
    config.option.basetemp = config.option.basetemp or str(owned.path / "t")
    config.stash[_owned] = owned


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_failed] = exitstatus != pytest.ExitCode.OK


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if _owned in config.stash and config.stash.get(_failed, False):
        terminalreporter.line(f"The files of this session stay in {config.stash[_owned].path} until the next begins.")


def pytest_unconfigure(config: pytest.Config) -> None:
    if _owned not in config.stash:
        return
    if config.stash.get(_failed, False):
        config.stash[_owned].abandon()
    else:
        config.stash[_owned].close()
