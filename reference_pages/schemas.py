"""Renders JSON schemas as Markdown: pydantic's for settings and run configurations, and those of the OpenAPI
document."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
Link = Callable[[str], str]
"""Makes a link to a schema's heading from the schema's name."""

_TYPES = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "null": "null"}
_FORMATS = {"password": "secret text", "path": "path", "date-time": "time", "binary": "bytes", "uri": "address"}
_LIMITS = (
    ("minimum", "≥ {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "≤ {}"),
    ("exclusiveMaximum", "&lt; {}"),
    ("minLength", "{} characters or more"),
    ("maxLength", "{} characters at most"),
    ("minItems", "{} entries or more"),
    ("maxItems", "{} entries at most"),
    ("maxProperties", "{} entries at most"),
    ("pattern", "matches `{}`"),
)


def link_here(name: str) -> str:
    """A link to a schema's heading on the same page."""
    return f"[{name}](#{anchor_of(name)})"


def anchor_of(name: str) -> str:
    """The anchor that `heading` gives a schema's heading."""
    return name.lower()


def heading(name: str, level: int = 2) -> str:
    """A heading with an explicit anchor, independent of the anchors that the site generates."""
    return f"{'#' * level} {name} {{ #{anchor_of(name)} }}"


def name_of(reference: str) -> str:
    """The name at the end of a `$ref`."""
    return reference.rpartition("/")[2]


def sections(schemas: Mapping[str, Schema], link: Link = link_here) -> list[str]:
    """For each schema, a heading, its description and a table of its fields."""
    lines: list[str] = []
    for name, schema in schemas.items():
        lines += [heading(name), "", *described(schema), *fields_table(schema, link)]
    return lines


def described(schema: Schema) -> list[str]:
    """The schema's description as a paragraph, if it has one."""
    text = schema.get("description", "")
    return [plain(text), ""] if text else []


def fields_table(schema: Schema, link: Link = link_here) -> list[str]:
    """A table with one row per field of an object; for any other type, what the type is."""
    if "properties" not in schema:
        return [f"{type_of(schema, link).capitalize()}.", ""]
    required = schema.get("required", ())
    rows = [
        f"| `{name}` | {cell(type_of(field, link))} | {default_of(field, name in required)} "
        f"| {cell(meaning_of(field))} |"
        for name, field in schema["properties"].items()
    ]
    return ["| field | type | default | meaning |", "| --- | --- | --- | --- |", *rows, ""]


def type_of(schema: Schema, link: Link = link_here) -> str:
    """The type in words. References to other schemas become links."""
    if "$ref" in schema:
        return link(name_of(schema["$ref"]))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(type_of(each, link) for each in schema[several]))
    if schema.get("type") == "array":
        entries = schema.get("items")
        return f"list of {type_of(entries, link)}" if entries else "list"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"map of names to {type_of(values, link)}" if isinstance(values, Mapping) else "object"
    return _FORMATS.get(schema.get("format", ""), _TYPES.get(schema.get("type", ""), "any value"))


def default_of(schema: Schema, is_required: bool) -> str:
    """The default as JSON; a dash if there is none to show."""
    if is_required:
        return "**required**"
    if "default" not in schema:
        return "–"
    return f"`{cell(json.dumps(schema['default'], ensure_ascii=False))}`"


def meaning_of(schema: Schema) -> str:
    """The description and the bounds of a field."""
    limits = "; ".join(limits_of(schema))
    words = [plain(schema.get("description", "")), f"({limits})" if limits else ""]
    return " ".join(word for word in words if word)


def limits_of(schema: Schema) -> Iterator[str]:
    """Yields the bounds of a value, including those within a nullable type."""
    for key, words in _LIMITS:
        if key in schema:
            yield words.format(schema[key])
    for each in schema.get("anyOf", ()):
        yield from limits_of(each)


def plain(text: str) -> str:
    """Plain text as Markdown, with everything that looks like an HTML tag escaped."""
    return text.replace("<", "&lt;").strip()


def cell(text: str) -> str:
    """Text, escaped for a table cell."""
    return " ".join(text.split()).replace("|", "\\|")
