"""Generates the pages of the REST API from its OpenAPI document: the calls, grouped by tag, and the schemas."""

from collections.abc import Iterator

from reference_pages.schemas import Schema, anchor_of, cell, described, meaning_of, name_of, plain, sections, type_of

_METHODS = ("get", "post", "put", "patch", "delete")


def rest_page(document: Schema) -> str:
    """The page of all calls in Markdown, in the order of the document's tags."""
    lines = ["# REST", "", plain(document["info"].get("description", "")), ""]
    tags = {tag["name"]: tag.get("description", "") for tag in document.get("tags", ())}
    calls = list(calls_of(document))
    for tag in dict.fromkeys([*tags, *(tag for tag, *_ in calls)]):
        of_tag = [call for call in calls if call[0] == tag]
        if of_tag:
            lines += [f"## {tag.capitalize()}", "", plain(tags.get(tag, "")), ""]
        for _, method, path, operation in of_tag:
            lines += _call(method, path, operation)
    return "\n".join(lines)


def schemas_page(document: Schema) -> str:
    """The page of all schemas of requests and responses, in Markdown."""
    schemas = document["components"]["schemas"]
    return "\n".join(
        ["# Requests and answers", "", "The schemas of the [REST](rest.md) calls.", "", *sections(schemas)]
    )


def calls_of(document: Schema) -> Iterator[tuple[str, str, str, Schema]]:
    """Yields the tag, method, path and operation of every call."""
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield (*item[method].get("tags", ["other"])[:1], method.upper(), path, item[method])


def _call(method: str, path: str, operation: Schema) -> list[str]:
    lines = [f"### `{method} {path}`", "", f"{plain(operation.get('summary', ''))}.", "", *described(operation)]
    if operation.get("parameters"):
        lines += ["| parameter | in | type | meaning |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{each['name']}`{' (required)' if each.get('required') else ''} | {each['in']} "
            f"| {cell(type_of(each['schema'], _link))} "
            f"| {cell(meaning_of({**each['schema'], 'description': each.get('description', '')}))} |"
            for each in operation["parameters"]
        ]
        lines.append("")
    if "requestBody" in operation:
        lines += [f"Body: {_content(operation['requestBody'])}", ""]
    answers = [
        f"| {status} | {cell(_content(answer))} | {cell(plain(answer.get('description', '')))} |"
        for status, answer in operation["responses"].items()
    ]
    return [*lines, "| answer | | |", "| --- | --- | --- |", *answers, ""]


def _content(body: Schema) -> str:
    return ", ".join(
        f"{type_of(content['schema'], _link)} (`{kind}`)" if content.get("schema") else f"`{kind}`"
        for kind, content in body.get("content", {}).items()
    )


def _link(name: str) -> str:
    return f"[{name}](schemas.md#{anchor_of(name_of(name))})"
