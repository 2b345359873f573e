"""Keeps the files of a control plane process on its machine private to its user."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import make_url

from service.private_files import tighten
from service.settings import Settings

logger = logging.getLogger(__name__)


def keep_files_private(settings: Settings) -> None:
    """Makes the service's existing files, and all that this process creates from now on, private to its user.

    Logs a warning for each file that stays as it is because another user owns it or it cannot be changed.
    """
    umask = int(settings.umask, 8)
    os.umask(umask)
    for path in tighten(_own_files(settings), umask):
        logger.warning("%s cannot be changed, or belongs to another user, who decides who else can read it", path)


def _own_files(settings: Settings) -> Iterator[Path]:
    yield settings.home
    yield from (settings.home / name for name in ("artifacts", "logs"))
    yield from settings.home.glob("logs/*")
    yield Path(settings.secret_keys_file)
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and url.database:
        yield from (Path(url.database + suffix) for suffix in ("", "-wal", "-shm"))
