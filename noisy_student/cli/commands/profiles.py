"""`noisy-student login`, `logout` and `profiles`: keep the addresses and keys of services."""

import os
import stat
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from noisy_student.cli.output import TABLE, Column, Output, show, show_list
from noisy_student.cli.terminal import say
from noisy_student.client import Client
from noisy_student.connection import checked_address
from noisy_student.errors import ApiError
from noisy_student.profiles import Profile, Profiles, keep_profiles, load_profiles, profiles_path
from service.views.access import CallerView

profiles = typer.Typer(no_args_is_help=True, help="List, choose and remove the services that login has kept.")
_DEFAULT_NAME = "default"
_TOO_MANY_CHARACTERS = 10_000
ProfileName = Annotated[str, typer.Argument(metavar="NAME", help="The profile's name.")]
PemFile = Annotated[Path | None, typer.Option(metavar="FILE", help="PEM file, kept by its path.")]


class ProfileView(BaseModel):
    """A profile as it is shown, without its key."""

    name: str
    api: str
    current: bool
    has_key: bool
    ca_file: str | None
    client_certificate: str | None


_COLUMNS: tuple[Column[ProfileView], ...] = (
    Column("", lambda profile: "*" if profile.current else ""),
    Column("name", lambda profile: profile.name),
    Column("api", lambda profile: profile.api),
    Column("key", lambda profile: "kept" if profile.has_key else "none"),
    Column("ca file", lambda profile: profile.ca_file or "", is_wide=True),
    Column("client certificate", lambda profile: profile.client_certificate or "", is_wide=True),
)


def login(
    url: Annotated[str, typer.Argument(metavar="URL", help="The service's address.")],
    profile: Annotated[str, typer.Option("--profile", metavar="NAME", help="The name to keep it by.")] = _DEFAULT_NAME,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file with the key, which only you can read; - reads standard input."),
    ] = None,
    ca_file: PemFile = None,
    client_certificate: PemFile = None,
    client_key: PemFile = None,
    output: Output = TABLE,
) -> None:
    """Check a key with the service, and keep it with the address. Asks for the key if no file is given."""
    address = checked_address(url)
    key = _key_of(key_file)
    files = {"ca_file": ca_file, "client_certificate": client_certificate, "client_key": client_key}
    paths = {name: str(path.expanduser().absolute()) for name, path in files.items() if path is not None}
    with Client(address, key, **paths) as client:  # type: ignore[arg-type]
        caller = client.service.me()
    keep_profiles(load_profiles().with_profile(profile, Profile(address, key, **paths)))
    show(caller, output, lambda _: _tell(caller, address, profile))


def logout(
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="The current one by default.")
    ] = None,
) -> None:
    """Remove a profile with its key from this machine. The service goes on accepting the key until it is revoked."""
    kept = load_profiles()
    name = profile or kept.current
    if name is None:
        raise ApiError("there is no current profile")
    keep_profiles(kept.without(name))
    say(f"{name} removed; revoke its key with noisy-student keys revoke if nobody else uses it")


@profiles.command("list")
def list_profiles(output: Output = TABLE) -> None:
    """List the profiles, without their keys. The star marks the current one."""
    kept = load_profiles()
    show_list([_view(kept, name) for name in sorted(kept.by_name)], output, _COLUMNS)


@profiles.command("use")
def use(name: ProfileName, output: Output = TABLE) -> None:
    """Make a profile the current one."""
    kept = load_profiles().using(name)
    keep_profiles(kept)
    show(_view(kept, name), output, lambda _: say(f"{name}: {kept.by_name[name].api}"))


@profiles.command("remove")
def remove(name: ProfileName) -> None:
    """Remove a profile with its key from this machine."""
    logout(name)


def _view(kept: Profiles, name: str) -> ProfileView:
    profile = kept.by_name[name]
    return ProfileView(
        name=name,
        api=profile.api,
        current=kept.current == name,
        has_key=profile.key is not None,
        ca_file=profile.ca_file,
        client_certificate=profile.client_certificate,
    )


def _key_of(file: Path | None) -> str:
    """The key that the file holds or a person types. Raises ApiError."""
    if file is None:
        if not _can_ask():
            raise typer.BadParameter(
                "nobody can be asked for the key here: give a file, or - for standard input", param_hint="--key-file"
            )
        return str(typer.prompt("API key", hide_input=True)).strip()
    text = sys.stdin.read(_TOO_MANY_CHARACTERS) if str(file) == "-" else _read_private(file)
    if not text.strip():
        raise ApiError(f"{'standard input' if str(file) == '-' else file} holds no key")
    return text.strip()


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _read_private(file: Path) -> str:
    try:
        with file.expanduser().open(encoding="utf-8") as handle:
            status = os.fstat(handle.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
                raise ApiError(f"{file} can be read by others: chmod 600 it, and make a new key if anyone has seen it")
            return handle.read(_TOO_MANY_CHARACTERS)
    except OSError as error:
        raise ApiError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ApiError(f"{file} is no text, so it holds no key") from error


def _tell(caller: CallerView, address: str, name: str) -> None:
    where = "all projects" if caller.projects is None else ", ".join(caller.projects)
    say(f"logged in to {address} as {caller.subject} ({caller.scope}, {where})")
    say(f"profile {name}, kept in {profiles_path()}", err=True)
    if address.startswith("http://") and not address.startswith(("http://127.", "http://localhost", "http://[::1]")):
        say("warning: over http:// others on the network can read the key; use https://", err=True)
