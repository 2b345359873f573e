"""Request bodies that programs and people send by mistake: not JSON, odd texts, unknown fields."""

import json
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

from benchmarks.inputs.expectations import Answered, RequestInput

PATHS = {
    "run": "/runs",
    "search": "/searches",
    "ablation": "/runs/{run}/ablations",
    "plan": "/plans",
    "webhook": "/webhooks",
    "dataset": "/datasets",
}
REFUSED = Answered((422,))
MADE = Answered((201,))
_MALFORMED = Answered((400, 422))


def inputs() -> Iterator[RequestInput]:
    """Yields all inputs of this module."""
    yield from _whole_bodies()
    yield from _texts()
    yield from _dataset_uris()


def request(
    name: str, kind: str, change: Callable[[Any], Any], expected: Answered, good: str = "run", **more: Any
) -> RequestInput:
    """A POST of the good body of kind `good`, changed. A valid ablation gets a 409, as its run has no student yet."""
    if good == "ablation" and expected.status != (415,) and not expected.says:
        expected = Answered((*expected.status, 409), expected.says, expected.never)
    return RequestInput(f"{good}: {name}", kind, "POST", PATHS[good], change, expected, good, **more)


def put(place: str, value: Any) -> Callable[[Any], Any]:
    """A change that sets the value at a dotted path of the body."""

    def change(body: Any) -> Any:
        *folders, last = place.split(".")
        reduce(lambda found, name: found.setdefault(name, {}), folders, body)[last] = value
        return body

    return change


def _as_it_is(content: bytes) -> Callable[[Any], bytes]:
    return lambda _: content


_NO_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "a null": b"null",
    "a list": b"[]",
    "a text": b'"run"',
    "a number": b"1",
    "half a body": b'{"name": "a',
    "a BOM": b"\xef\xbb\xbf{}",
    "UTF-16": '{"name": "a"}'.encode("utf-16"),
    "latin-1": b'{"name": "caf\xe9"}',
    "single quotes": b"{'name': 'a'}",
    "a trailing comma": b'{"name": "a",}',
    "comments": b'{"name": "a" /* x */}',
    "NaN": b'{"name": "a", "seed": NaN}',
    "Infinity": b'{"name": "a", "seed": Infinity}',
    "deep lists": b"[" * 50_000 + b"]" * 50_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "ten thousand digits": b'{"name": "a", "seed": ' + b"9" * 10_000 + b"}",
    "a lone surrogate": b'{"name": "\\ud800"}',
    "a NUL": b'{"name": "a\\u0000b"}',
    "a form": b"name=a&role=labeled",
    "yaml": b"name: a\nrole: labeled\n",
    "two objects": b'{"name": "a"}{"name": "b"}',
    "XML": b"<run/>",
    "a NUL byte": b"\0",
}


def _whole_bodies() -> Iterator[RequestInput]:
    kind = "whole bodies"
    for good in PATHS:
        for name, content in _NO_BODIES.items():
            yield request(name, kind, _as_it_is(content), _MALFORMED, good)
        yield request("a field that nobody knows", kind, put("colour", "red"), Answered((422,), ("colour",)), good)
        yield request("a field twice", kind, _with_a_field_twice, Answered((201, 400, 422)), good)
        plain = {"Content-Type": "text/plain"}
        yield request("as text/plain", kind, lambda body: body, Answered((415,)), good, headers=plain)


def _with_a_field_twice(body: Any) -> bytes:
    name = "url" if "url" in body else "name"
    return json.dumps(body).replace("{", f'{{"{name}": "https://one.example", "{name}": "two", ', 1).encode()


_ODD_TEXTS = {
    "an escape": "\x1b[31mred",
    "a newline": "a\nb",
    "a NUL": "a\0b",
    "a lone surrogate": "\ud800",
    "two surrogates the wrong way": "\udc00\ud800",
    "a C1 control": "\x9b31m",
    "a delete": "a\x7f",
    "a bell": "\x07",
    "a line separator": "a\u2028b",
    "a right-to-left override": "a\u202eb",
    "nothing": "",
}
_NO_NAMES = _ODD_TEXTS | {"121 characters": "x" * 121, "blanks": "   "}
_FINE_NAMES = {
    "120 characters": "x" * 120,
    "110 characters": "y" * 110,
    "emoji": "\U0001f431" * 30,
    "chinese": "\u732b" * 120,
    "markup": "<script>alert(1)</script>",
    "rich markup": "[bold red]x[/]",
    "a broken tag": "[/x]",
    "braces": "{name} %s ${HOME}",
    "quotes": 'it\'s "so"',
    "an umlaut in two parts": "a\u0308",
    "a json text": '{"a": 1}',
    "a path": "../../etc/passwd",
}
_NO_TEXTS = {"a number": 1, "a list": ["a"], "an object": {"a": 1}, "true": True}
_NAMES = {"run": "name", "plan": "run.name", "search": "name", "ablation": "name", "dataset": "name"}


def _texts() -> Iterator[RequestInput]:
    for good, place in _NAMES.items():
        for name, text in _NO_NAMES.items():
            yield request(f"{place} with {name}", "texts", put(place, text), _MALFORMED, good)
        for name, text in _FINE_NAMES.items():
            yield request(f"{place} with {name}", "texts", put(place, text), MADE, good)
        for name, value in _NO_TEXTS.items():
            yield request(f"{place} that is {name}", "texts", put(place, value), Answered((422,), (place,)), good)
    for place in ("teacher_model", "datasets.labeled", "project"):
        for name, text in _NO_NAMES.items():
            yield request(f"{place} with {name}", "texts", put(place, text), _MALFORMED)
    for place in ("uri", "image_column", "label_column", "key_column"):
        for name, text in _ODD_TEXTS.items():
            expected = Answered((201, 400, 422)) if name.startswith(("a line", "a right")) else _MALFORMED
            yield request(f"{place} with {name}", "texts", put(place, text), expected, "dataset")


_NO_PLACES = (
    *("../data/pets", "/tmp/../etc", "~/pets", ".", "/", "/proc", "/dev/zero", "/dev/stdin", "/dev/random"),
    *("C:\\pets", "\\\\server\\share", "%2e%2e/a", "/tmp/%2e%2e/etc", "/nonexistent/" + "a" * 5000),
    *("https://example.org/a", "http://127.0.0.1/a", "ftp://h/a", "hdfs://n/a", "abfss://b@a/c", "hf://datasets/a"),
    *("file:///tmp/a%00", "file:///tmp/a#b", "file:///tmp/a?b", "file://other/tmp/a", "file:", "file:///dev/zero"),
    *("s3://", "s3:///a", "s3://[x", "s3://a b/c", "s3://bucket/../a", "s3://bucket/a?scheme=file", "S3://bucket/a"),
    *("s3://bucket/a?endpoint_override=[", "s3://bucket/a?unknown=1", "s3://user:secret@bucket/a", "s3a://bucket/a"),
    *("gs://", "gs://bucket/a?unknown=1", "gcs://bucket/a", "://", "mock:///a", "s3n://bucket/a", "az://box/a"),
)


def _dataset_uris() -> Iterator[RequestInput]:
    for uri in _NO_PLACES:
        name = f"uri {uri[:60]}"
        yield request(name, "dataset uris", put("uri", uri), REFUSED, "dataset", most_seconds=60.0)
    secret = put("uri", "s3://AKIAKEY:SECRETWORD@bucket/a")
    never = Answered((422,), never=("SECRETWORD",))
    yield request("a uri with a secret", "dataset uris", secret, never, "dataset", most_seconds=60.0)
