"""JSON schemas as Markdown: pydantic's of settings and configurations, OpenAPI's of requests and answers."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
Link = Callable[[str], str]
"""From the name of a schema to a link to its heading."""

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
    """A link to the schema's heading on the same page."""
    return f"[{name}](#{anchor_of(name)})"


def anchor_of(name: str) -> str:
    """The anchor of a schema's heading, which `heading` sets."""
    return name.lower()


def heading(name: str, level: int = 2) -> str:
    """A heading with an anchor of its own, whatever the site makes of headings."""
    return f"{'#' * level} {name} {{ #{anchor_of(name)} }}"


def name_of(reference: str) -> str:
    """The name at the end of a `$ref`."""
    return reference.rpartition("/")[2]


def sections(schemas: Mapping[str, Schema], link: Link = link_here) -> list[str]:
    """A heading, the description and a table of its fields for each schema, in this order."""
    lines: list[str] = []
    for name, schema in schemas.items():
        lines += [heading(name), "", *described(schema), *fields_table(schema, link)]
    return lines


def described(schema: Schema) -> list[str]:
    """The schema's own words as a paragraph, if it has any."""
    text = schema.get("description", "")
    return [plain(text), ""] if text else []


def fields_table(schema: Schema, link: Link = link_here) -> list[str]:
    """A row for each field of an object; for another type, what it is."""
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
    """The type in words, schemas of their own as links."""
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
    """The default as JSON; a dash where there is none to be shown."""
    if is_required:
        return "**required**"
    if "default" not in schema:
        return "–"
    return f"`{cell(json.dumps(schema['default'], ensure_ascii=False))}`"


def meaning_of(schema: Schema) -> str:
    """The description, and the bounds."""
    limits = "; ".join(limits_of(schema))
    words = [plain(schema.get("description", "")), f"({limits})" if limits else ""]
    return " ".join(word for word in words if word)


def limits_of(schema: Schema) -> Iterator[str]:
    """The bounds that a value must keep, also where it may be null."""
    for key, words in _LIMITS:
        if key in schema:
            yield words.format(schema[key])
    for each in schema.get("anyOf", ()):
        yield from limits_of(each)


def plain(text: str) -> str:
    """Somebody's prose as Markdown: what looks like a tag is none."""
    return text.replace("<", "&lt;").strip()


def cell(text: str) -> str:
    """Text for one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
