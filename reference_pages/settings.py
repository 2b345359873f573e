"""Generates the page of the settings: the environment variable of each, as pydantic-settings reads nested groups."""

from collections.abc import Iterator

from pydantic_settings import BaseSettings

from reference_pages.schemas import Schema, cell, default_of, meaning_of, name_of, type_of

_BEGINNING = """# Settings

Environment variables of the API and the reconciler. Write lists and maps as JSON. [Operations](../operations.md) and
[security](../security.md) explain their use.

| variable | type | default | meaning |
| --- | --- | --- | --- |
"""


def settings_page(settings: type[BaseSettings]) -> str:
    """The page in Markdown, with one row per variable of all groups."""
    schema = settings.model_json_schema(by_alias=False)
    definitions = schema.get("$defs", {})
    prefix, between = settings.model_config.get("env_prefix", ""), settings.model_config.get("env_nested_delimiter")
    rows = []
    for path, field, is_required in variables(schema, definitions):
        name = f"{prefix}{(between or '__').join(path)}".upper()
        kind = type_of(field, lambda reference: type_of(definitions[reference]))
        rows.append(f"| `{name}` | {cell(kind)} | {default_of(field, is_required)} | {cell(meaning_of(field))} |")
    return _BEGINNING + "\n".join(rows) + "\n"


def variables(
    schema: Schema, definitions: Schema, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Schema, bool]]:
    """Yields each setting that has a variable: the parts of its name, the field, and whether its group requires it."""
    for name, field in schema.get("properties", {}).items():
        group = group_of(field, definitions)
        if group is None:
            yield (*path, name), field, name in schema.get("required", ())
        else:
            yield from variables(group, definitions, (*path, name))


def group_of(field: Schema, definitions: Schema) -> Schema | None:
    """The schema of the group that the field is or may be; None for a single setting."""
    for each in (field, *field.get("anyOf", ()), *field.get("allOf", ())):
        schema = definitions.get(name_of(each["$ref"])) if "$ref" in each else None
        if schema is not None and "properties" in schema:
            found: Schema = schema
            return found
    return None
