"""Checks the names of environment variables: which of them are settings, and the new names of renamed ones."""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

PREFIX = "NOISY_STUDENT_"
OF_OTHERS = frozenset(
    {
        # The client and the command line read these.
        *("API", "API_KEY", "PROFILE", "API_CA_FILE", "API_CLIENT_CERTIFICATE", "API_CLIENT_KEY"),
        # The service sets these for its own processes.
        *("STAGE_DATASET_ROOTS", "STAGE_INTERNALS", "STAGE_LOGS", "PART_OF", "STACK_PART", "TEST_MARK"),
    }
)
"""Variables that begin like a setting but are read elsewhere."""
MOVED: Mapping[str, str] = {
    "ALLOWED_HOSTS": "ACCESS__ALLOWED_HOSTS",
    "API_HOST": "SERVER__HOST",
    "API_PORT": "SERVER__PORT",
    "AUDIT_DAYS": "ACCESS__AUDIT_DAYS",
    "AUDIT_REFUSED_DAYS": "ACCESS__AUDIT_REFUSED_DAYS",
    "AUTHENTICATION": "ACCESS__AUTHENTICATION",
    "DASHBOARD_URL": "RAY__DASHBOARD_URL",
    "DATASETS_ANYWHERE": "DATASETS__ANYWHERE",
    "DATASET_ROOTS": "DATASETS__ROOTS",
    "DATASET_ROOTS_BY_PROJECT": "DATASETS__ROOTS_BY_PROJECT",
    "EVENT_POLL_SECONDS": "EVENTS__POLL_SECONDS",
    "JOB_LOG_MIB": "RAY__JOB_LOG_MIB",
    "LEASE_SECONDS": "RECONCILER__LEASE_SECONDS",
    "MAX_ATTEMPTS": "RECONCILER__MAX_ATTEMPTS",
    "MAX_BODY_BYTES": "SERVER__MAX_BODY_BYTES",
    "MAX_CONCURRENT_STAGES": "RECONCILER__MAX_CONCURRENT_STAGES",
    "MAX_EVENT_STREAMS": "EVENTS__MAX_STREAMS",
    "MAX_EVENT_STREAMS_OF_CALLER": "EVENTS__MAX_STREAMS_OF_CALLER",
    "MAX_WEBHOOKS": "WEBHOOKS__MAX_WEBHOOKS",
    "PYTHON_EXECUTABLE": "RAY__PYTHON_EXECUTABLE",
    "RAY_AUTH_TOKEN": "RAY__AUTH_TOKEN",  # nosec B105: a name
    "RAY_IS_OWN": "RAY__IS_OWN",
    "RAY_JOBS_URL": "RAY__JOBS_URL",
    "REGISTRATION_MEMORY_MIB": "REGISTRATION__MEMORY_MIB",
    "REGISTRATION_PROCESSES": "REGISTRATION__PROCESSES",
    "REGISTRATION_TIMEOUT_SECONDS": "REGISTRATION__TIMEOUT_SECONDS",
    "REQUESTS_PER_SECOND": "ACCESS__REQUESTS_PER_SECOND",
    "REQUEST_BURST": "ACCESS__REQUEST_BURST",
    "RETENTION_INTERVAL_SECONDS": "RETENTION__INTERVAL_SECONDS",
    "RETENTION_KEEP_LABEL_GENERATIONS": "RETENTION__KEEP_LABEL_GENERATIONS",
    "RETENTION_KEEP_LAST_CHECKPOINTS": "RETENTION__KEEP_LAST_CHECKPOINTS",
    "RETENTION_MIN_AGE_SECONDS": "RETENTION__MIN_AGE_SECONDS",
    "SESSION_HOURS": "ACCESS__SESSION_HOURS",
    "TICK_SECONDS": "RECONCILER__TICK_SECONDS",
    "WEBHOOK_MAX_ATTEMPTS": "WEBHOOKS__MAX_ATTEMPTS",
    "WEBHOOK_PRIVATE_NETWORKS": "WEBHOOKS__PRIVATE_NETWORKS",
    "WEBHOOK_TIMEOUT_SECONDS": "WEBHOOKS__TIMEOUT_SECONDS",
}
"""The settings of version 0.1.0, which had no groups: from the old name to the new one, without the prefix."""
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$")


def refusals(environment: Mapping[str, str], settings: Collection[str]) -> list[str]:
    """Returns what is wrong with the variables that begin with NOISY_STUDENT_, one sentence per variable.

    `settings` holds the names of all settings, without the prefix. Pydantic itself checks the names below a group or a
    table.
    """
    found = []
    for variable, value in sorted(environment.items()):
        name = variable.upper().removeprefix(PREFIX)
        if not variable.upper().startswith(PREFIX) or name in OF_OTHERS or _is_service_link(name, value):
            continue
        if name in MOVED:
            found.append(f"{variable} is now {PREFIX}{MOVED[name]}")
        elif not _is_setting(name, settings):
            nearest = get_close_matches(name, sorted(settings), n=1)
            hint = f"; {PREFIX}{nearest[0]} is the nearest" if nearest else ""
            found.append(f"{variable} is no setting{hint}: docs/operations.md lists them")
    return found


def _is_setting(name: str, settings: Collection[str]) -> bool:
    """Whether the name is a setting, or an entry of a table such as DATASETS__ROOTS_BY_PROJECT__PETS."""
    return any(each in settings for each in _beginnings(name))


def _beginnings(name: str) -> Iterable[str]:
    """Returns the name and its beginnings, down to two parts."""
    parts = name.split("__")
    return ("__".join(parts[:count]) for count in range(len(parts), min(len(parts), 2) - 1, -1))


def _is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes set the variable, as the address of a Service whose name begins with `noisy-student`.

    https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    """
    return bool(_SERVICE_LINK.search(f"_{name}")) or (f"_{name}".endswith("_PORT") and "://" in value)
