"""The profiles that `noisy-student login` keeps: services by name, each with an address, a key and TLS files.

They are in one file of mode 0600 in a folder of mode 0700. A profile's key is sent to the profile's address only.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from noisy_student.errors import ApiError

PROFILE_VARIABLE = "NOISY_STUDENT_PROFILE"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Profile:
    """A service and how to reach it."""

    api: str
    key: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None


@dataclass(frozen=True)
class Profiles:
    """All profiles by name, and the one that is used if none is named."""

    by_name: Mapping[str, Profile] = field(default_factory=dict)
    current: str | None = None

    def chosen(self, name: str | None) -> Profile | None:
        """The profile of that name, or the current one; None if there is none. Raises ApiError for an unknown name."""
        wanted = name or self.current
        if wanted is None:
            return None
        if wanted not in self.by_name:
            known = ", ".join(sorted(self.by_name)) or "none"
            raise ApiError(f"there is no profile {wanted!r}; there are: {known}. Make one with noisy-student login")
        return self.by_name[wanted]

    def with_profile(self, name: str, profile: Profile) -> "Profiles":
        """The profiles with this one, which becomes the current one. Raises ApiError if it cannot have that name."""
        if not _NAME.fullmatch(name):
            raise ApiError(f"{name!r} is no name of a profile: letters, digits, dots, underscores and hyphens")
        return Profiles({**self.by_name, name: profile}, name)

    def without(self, name: str) -> "Profiles":
        """The profiles without this one. Raises ApiError if it is not there."""
        self.chosen(name)
        left = {each: profile for each, profile in self.by_name.items() if each != name}
        return Profiles(left, None if self.current == name else self.current)

    def using(self, name: str) -> "Profiles":
        """The profiles with this one as the current one. Raises ApiError if it is not there."""
        self.chosen(name)
        return replace(self, current=name)


def profiles_path(environment: Mapping[str, str] = os.environ) -> Path:
    """The file of the profiles, in the folder for configuration (XDG Base Directory Specification)."""
    folder = environment.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "noisy-student" / "profiles.json"


def load_profiles(environment: Mapping[str, str] = os.environ) -> Profiles:
    """The profiles that are kept. Raises ApiError if others can read the file, or it is not one of this version."""
    path = profiles_path(environment)
    try:
        handle = path.open(encoding="utf-8")
    except FileNotFoundError:
        return Profiles()
    except OSError as error:
        raise ApiError(f"{path}: {error.strerror}") from error
    with handle:
        status = os.fstat(handle.fileno())
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise ApiError(f"{path} holds keys and is not yours alone: chmod 600 it, and revoke keys that others saw")
        try:
            kept = json.load(handle)
            by_name = {name: Profile(**profile) for name, profile in kept["profiles"].items()}
            return Profiles(by_name, kept["current"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ApiError(f"{path} holds no profiles of this version: remove it, and log in again") from error


def keep_profiles(profiles: Profiles, environment: Mapping[str, str] = os.environ) -> None:
    """Replaces the file of the profiles, atomically. Raises ApiError if it cannot."""
    from service.private_files import make_private_folder, write_private_file  # only `login` and the like write

    path = profiles_path(environment)
    kept = {
        "current": profiles.current,
        "profiles": {name: asdict(profile) for name, profile in profiles.by_name.items()},
    }
    try:
        make_private_folder(path.parent)
        write_private_file(path, json.dumps(kept, indent=2) + "\n")
    except OSError as error:
        raise ApiError(f"{path}: {error.strerror or error}") from error
