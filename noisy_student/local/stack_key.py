"""The key of the local stack's owner. It is created when the stack starts and revoked when it ends."""

from contextlib import suppress

from noisy_student.local.own_keys import drop_own_key, keep_own_key
from service.access.key_commands import KeyCommands
from service.config.access import KeyRequest, Scope
from service.errors import DatabaseUnavailable
from service.store.database import Database
from service.store.migrate import upgrade

_MAKER = "noisy-student up"


class StackKey:
    """The key for the API at the address `api`. `text` is the key itself, empty until it is created."""

    def __init__(self, api: str) -> None:
        self._api = api
        self._database_url = ""
        self.text = ""

    def make(self, database_url: str) -> None:
        """Migrates the database, revokes the keys of earlier starts, and creates a new one.

        Others may have obtained the earlier keys while the stack's port was free.
        """
        self._database_url = database_url
        upgrade(database_url)
        database = Database(database_url)
        try:
            commands = KeyCommands(database)
            commands.revoke_made_by(_MAKER)
            request = KeyRequest(name="this machine's command line and page", scope=Scope.ADMIN, project=None)
            self.text = commands.create_key(request, _MAKER).key
        finally:
            database.close()

    def keep(self) -> None:
        """Stores the key where the command line finds it. Raises OSError."""
        keep_own_key(self._api, self.text)

    def end(self) -> None:
        """Removes the stored key and revokes it."""
        if not self.text:
            return
        drop_own_key(self._api, self.text)
        self.text = ""
        database = Database(self._database_url)
        try:
            with suppress(DatabaseUnavailable):  # the next start revokes it
                KeyCommands(database).revoke_made_by(_MAKER)
        finally:
            database.close()
