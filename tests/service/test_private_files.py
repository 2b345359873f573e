"""The service's files are private to its user, both new ones and those that existed before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.private_files import (
    make_new_private_folder,
    make_private_folder,
    open_private_log,
    tighten,
    write_private_file,
)

pytestmark = pytest.mark.attack


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_files_and_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_new_private_folder(tmp_path / "new")
        make_private_folder(tmp_path / "a" / "b")
        write_private_file(tmp_path / "file", "x")
        open_private_log(tmp_path / "log").close()
    finally:
        os.umask(before)
    assert [mode(tmp_path / name) for name in ("new", "a/b", "file", "log")] == [0o700, 0o700, 0o600, 0o600]


def test_what_is_there_is_tightened_and_links_are_not_followed(tmp_path: Path) -> None:
    folder, file, elsewhere = tmp_path / "folder", tmp_path / "file", tmp_path / "elsewhere"
    for each in (file, elsewhere):
        each.touch(mode=0o644)
        each.chmod(0o644)
    folder.mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(elsewhere)
    assert tighten([folder, file, tmp_path / "link", tmp_path / "missing"]) == []
    assert [mode(each) for each in (folder, file, elsewhere)] == [0o700, 0o600, 0o644]
    tighten([folder], umask=0o027)
    assert mode(folder) == 0o700


def test_a_log_that_others_could_read_is_not_written_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    log.chmod(0o644)
    with open_private_log(log) as file:
        file.write(b"after\n")
    assert mode(log) == 0o600
    assert log.read_text() == "before\nafter\n"


def test_a_folder_that_somebody_has_made_beforehand_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(FileExistsError):
        make_new_private_folder(tmp_path / "taken")


def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder to another user")
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(PermissionError, match="another user"):
        make_private_folder(tmp_path)


_MAKES_A_DATABASE = """
import os
from pathlib import Path
from service.store.own_files import keep_files_private
from service.settings import Settings
from service.store.migrate import upgrade

os.umask(0o022)
settings = Settings()
keep_files_private(settings)
upgrade(settings.database_url)
"""


@pytest.mark.parametrize(("umask", "folder", "file"), [("077", 0o700, 0o600), ("027", 0o750, 0o640)])
def test_a_process_of_the_control_plane_makes_and_tightens_by_its_setting(
    tmp_path: Path, umask: str, folder: int, file: int
) -> None:
    home = tmp_path / "home"
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "api.log").touch()
    for path in (home, home / "logs"):
        path.chmod(0o755)
    environment = {**os.environ, "NOISY_STUDENT_HOME": str(home), "NOISY_STUDENT_UMASK": umask}
    subprocess.run([sys.executable, "-c", _MAKES_A_DATABASE], env=environment, check=True, timeout=60)
    assert [mode(path) for path in (home, home / "logs")] == [folder, folder]
    made = [home / "noisy-student.db", home / "logs" / "api.log"]
    assert [mode(path) for path in made] == [file, file]
