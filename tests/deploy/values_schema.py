"""`python -m tests.deploy.values_schema` regenerates the parts of values.schema.json that come from elsewhere.

The schema is written by hand except for two kinds of definitions: the settings of the service, which pydantic derives
from `Settings` (without those that the chart sets itself), and parts of pods, which come from Kubernetes' schema.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from service.settings import Settings
from tests.deploy.manifests import kubernetes_schema
from tests.deploy.places import CHART, KUBERNETES_VERSIONS

SCHEMA = CHART / "values.schema.json"
SETTINGS = "settings"
FOR_ONE_MACHINE = ("NOISY_STUDENT_RAY__IS_OWN", "NOISY_STUDENT_DATASETS__ANYWHERE")
"""Settings of the stack that `noisy-student up` starts. On a cluster they would open what must stay closed."""
_VARIABLE = re.compile(r"\bNOISY_STUDENT_[A-Z_]+\b")


def main() -> None:
    """Rewrites values.schema.json."""
    SCHEMA.write_text(json.dumps(renewed(json.loads(SCHEMA.read_text())), indent=2) + "\n", encoding="utf-8")


def renewed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, with the definitions from elsewhere brought up to date."""
    own = {name: each for name, each in schema["$defs"].items() if not _is_foreign(name)}
    named = {name for name in _references({**schema, "$defs": own}) if name.startswith("io.k8s.")}
    return {**schema, "$defs": {**own, **_settings(), **_of_kubernetes(named)}}


def variables_of_the_chart() -> set[str]:
    """The environment variables that the chart sets from its own values."""
    return set(_VARIABLE.findall((CHART / "templates" / "_settings.tpl").read_text(encoding="utf-8")))


def _is_foreign(name: str) -> bool:
    return name.startswith((SETTINGS, "io.k8s."))


def _settings() -> dict[str, Any]:
    """The definition `settings`, and those that it references as `settings.NAME`."""
    described = Settings.model_json_schema()
    parts = described.pop("$defs", {})
    for variable in (*variables_of_the_chart(), *FOR_ONE_MACHINE):
        _take_away(described, parts, variable.removeprefix("NOISY_STUDENT_").lower().split("__"))
    text = json.dumps({SETTINGS: described, **{f"{SETTINGS}.{name}": part for name, part in parts.items()}})
    definitions: dict[str, Any] = json.loads(text.replace('"#/$defs/', f'"#/$defs/{SETTINGS}.'))
    kept = _with_references({SETTINGS}, definitions)
    return {name: _closed(_without(each, "title", "default", "description")) for name, each in kept.items()}


def _take_away(described: dict[str, Any], parts: dict[str, Any], path: list[str]) -> None:
    """Removes one setting. A group is a definition that its property references."""
    *groups, name = path
    for group in groups:
        (part,) = set(_references(described["properties"][group]))
        described = parts[part]
    if name in described.get("required", ()):
        described["required"].remove(name)
    described["properties"].pop(name, None)


def _of_kubernetes(named: set[str]) -> dict[str, Any]:
    """Kubernetes' definitions with these names and all that they reference, without their long descriptions."""
    every = kubernetes_schema(KUBERNETES_VERSIONS[0], "_definitions")["$defs"]
    kept = _with_references(named, every)
    return {name: _without(kept[name], "description", "x-kubernetes-") for name in sorted(kept)}


def _with_references(named: set[str], every: dict[str, Any]) -> dict[str, Any]:
    """The definitions with these names and all that they reference, in the order of `every`."""
    found: set[str] = set()
    waiting = sorted(named)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(every[name])
    return {name: each for name, each in every.items() if name in found}


def _references(node: Any) -> Iterator[str]:
    """Yields the names of all referenced definitions."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rsplit("/", 1)[-1]
        for each in node.values():
            yield from _references(each)
    elif isinstance(node, list):
        for each in node:
            yield from _references(each)


def _without(node: Any, *beginnings: str) -> Any:
    """The schema without annotations: keys that begin so, unless they are properties with that name."""
    if isinstance(node, list):
        return [_without(each, *beginnings) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: each
        for key, each in node.items()
        if not key.startswith(beginnings) or (isinstance(each, dict) and key != "default")
    }
    return {key: _without(each, *beginnings) for key, each in kept.items()}


def _closed(definition: dict[str, Any]) -> dict[str, Any]:
    if definition.get("type") == "object":
        definition["additionalProperties"] = False
    return definition


if __name__ == "__main__":
    main()
