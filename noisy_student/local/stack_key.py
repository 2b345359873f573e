"""The key of the one person whose local stack this is: made at its start, refused from its end on."""

from contextlib import suppress

from noisy_student.local.own_keys import drop_own_key, keep_own_key
from service.access.key_commands import KeyCommands
from service.config.access import KeyRequest, Scope
from service.errors import DatabaseUnavailable
from service.store.database import Database
from service.store.migrate import upgrade

_MAKER = "noisy-student up"


class StackKey:
    """`api` is the address that the key is for. `text` is the key, once it is made."""

    def __init__(self, api: str) -> None:
        self._api = api
        self._database_url = ""
        self.text = ""

    def make(self, database_url: str) -> None:
        """Brings the database up to date, refuses the keys of earlier starts, which others may have got hold of while
        their port was free, and makes a new one."""
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
        """Leaves it where the command line finds it. Raises OSError."""
        keep_own_key(self._api, self.text)

    def end(self) -> None:
        """Takes it back."""
        if not self.text:
            return
        drop_own_key(self._api, self.text)
        self.text = ""
        database = Database(self._database_url)
        try:
            with suppress(DatabaseUnavailable):  # the next start does it
                KeyCommands(database).revoke_made_by(_MAKER)
        finally:
            database.close()
