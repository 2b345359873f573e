"""API keys are cached for a moment, and never longer than they are valid."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import event

from service.access.key_commands import KeyCommands
from service.access.known_keys import REMEMBERED_SECONDS, KnownKeys
from service.config.access import KeyRequest, Scope
from service.errors import Unauthenticated
from service.store.database import Database
from service.views.access import CreatedKey
from service.views.base import as_time
from tests.support.fake_clock import FakeClock

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
MakeKey = Callable[[], CreatedKey]


@pytest.fixture
def keys(database: Database, clock: FakeClock) -> KnownKeys:
    return KnownKeys(database, clock, clock)


@pytest.fixture
def commands(database: Database, clock: FakeClock) -> KeyCommands:
    return KeyCommands(database, clock)


@pytest.fixture
def made(commands: KeyCommands) -> CreatedKey:
    return commands.create_key(KeyRequest(name="k", scope=Scope.VIEWER, project="mine"), "somebody")


@pytest.fixture
def look_ups(database: Database) -> Iterator[list[str]]:
    """Records the statements that reach the database."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "api_keys" in statement:
            statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(database.engine, "before_cursor_execute", note)


def test_a_key_that_was_just_looked_up_is_known_without_the_database(
    keys: KnownKeys, made: CreatedKey, clock: FakeClock, look_ups: list[str]
) -> None:
    assert keys.recall(made.key) is None
    principal = keys.find(made.key)
    assert (principal.subject, principal.projects) == (made.id, frozenset({"mine"}))
    assert len(look_ups) == 1

    assert keys.recall(made.key) == keys.find(made.key) == principal
    assert len(look_ups) == 1
    clock.advance(REMEMBERED_SECONDS)
    assert keys.recall(made.key) is None
    assert keys.find(made.key) == principal
    assert len(look_ups) == 2


def test_a_key_that_another_process_revokes_is_refused_a_moment_later(
    keys: KnownKeys, made: CreatedKey, commands: KeyCommands, clock: FakeClock
) -> None:
    keys.find(made.key)
    commands.revoke_key(made.id)
    clock.advance(REMEMBERED_SECONDS)
    with pytest.raises(Unauthenticated):
        keys.find(made.key)


def test_a_key_that_this_process_revokes_is_refused_at_once(
    keys: KnownKeys, made: CreatedKey, commands: KeyCommands
) -> None:
    keys.find(made.key)
    commands.revoke_key(made.id)
    keys.forget(made.id)
    assert keys.recall(made.key) is None
    with pytest.raises(Unauthenticated):
        keys.find(made.key)


def test_a_key_is_not_remembered_beyond_its_end(keys: KnownKeys, commands: KeyCommands, clock: FakeClock) -> None:
    ends = clock.now + REMEMBERED_SECONDS / 2
    request = KeyRequest(name="k", scope=Scope.VIEWER, project=None, expires_at=as_time(ends))
    made = commands.create_key(request, "somebody")
    keys.find(made.key)

    clock.advance(REMEMBERED_SECONDS / 2)

    assert keys.recall(made.key) is None
    with pytest.raises(Unauthenticated):
        keys.find(made.key)


def test_the_wrong_secret_of_a_known_key_is_refused(keys: KnownKeys, made: CreatedKey) -> None:
    keys.find(made.key)
    wrong = made.key[:-1] + ("A" if made.key[-1] != "A" else "B")
    assert keys.recall(wrong) is None
    with pytest.raises(Unauthenticated):
        keys.find(wrong)
