"""What `noisy-student doctor` finds, and what it says about a running service's own settings. Pure."""

from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from service.views.access import CallerView
from service.views.health import Readiness, ServiceSettings

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_GIB = 2**30
_LEAST_GIB = 5


@dataclass(frozen=True)
class Finding:
    """The result of one check. `warn`: it works, or may once something is started; `fail`: it cannot work."""

    subject: str
    verdict: Literal["ok", "warn", "fail"]
    found: str
    hint: str = ""


def of_service(api: str, caller: CallerView, readiness: Readiness) -> list[Finding]:
    """What anyone with a key may know of a service that answers."""
    checks = [
        Finding(
            check.name, "ok" if check.ready else "fail", check.detail, "" if check.ready else "see the service's log"
        )
        for check in readiness.checks
    ]
    projects = "all projects" if caller.projects is None else ", ".join(caller.projects)
    return [
        Finding("API", "ok", f"{api} answers, version {caller.service_version or 'unknown'}"),
        Finding("caller", "ok", f"{caller.subject}: {caller.scope}, {projects}"),
        *checks,
    ]


def of_settings(found: ServiceSettings) -> list[Finding]:
    """What the settings that the service runs with mean for it."""
    values = {setting.name: setting.value for setting in found.settings}
    changed = [setting for setting in found.settings if not setting.is_default]
    return [
        _disk(found.home_free_bytes, str(values.get("HOME"))),
        Finding("database of the service", "ok", str(values.get("DATABASE_URL"))),
        _artifacts(values),
        _authentication(values),
        *(Finding(f"NOISY_STUDENT_{each.name}", "ok", str(each.value), "differs from the default") for each in changed),
    ]


def _disk(free: int, home: str) -> Finding:
    found = f"{free / _GIB:.1f} GiB free at the service's {home}"
    if free >= _LEAST_GIB * _GIB:
        return Finding("disk", "ok", found)
    hint = "free some space there, or set NOISY_STUDENT_HOME to another disk"
    return Finding("disk", "fail" if free < _GIB / 2 else "warn", found, hint)


def _artifacts(values: dict[str, Any]) -> Finding:
    root = str(values.get("ARTIFACT_ROOT"))
    if "://" in root or urlsplit(str(values.get("RAY__JOBS_URL"))).hostname in _LOOPBACK:
        return Finding("artifact root of the service", "ok", root)
    hint = "every node of the cluster must have this path: a shared disk, or an object store"
    return Finding("artifact root of the service", "warn", root, hint)


def _authentication(values: dict[str, Any]) -> Finding:
    if values.get("ACCESS__AUTHENTICATION"):
        return Finding("authentication", "ok", "requests need a key")
    host = str(values.get("SERVER__HOST"))
    if host in _LOOPBACK:
        return Finding("authentication", "ok", f"off; the API listens on {host} only")
    hint = "set NOISY_STUDENT_ACCESS__AUTHENTICATION=true"
    return Finding("authentication", "warn", f"off, and the API listens on {host}", hint)
