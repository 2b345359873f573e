"""Reads request bodies, which are JSON or YAML with JSON's scalars, and writes YAML that reads back the same."""

import json
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from noisy_student.errors import ApiError
from workers.specs.text import unfit_character

_YAML, _JSON = (".yaml", ".yml"), ".json"
_SEVERAL = "it holds several documents, and the command takes one: remove all but one"


class _Loader(yaml.SafeLoader):
    """YAML whose plain scalars are JSON's, as in YAML 1.2: `no` and `2026-01-01` are text, and 1e-3 is a number.

    A duplicate key is an error.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012 (as PyYAML has it)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a duplicate key", node.start_mark)
        return mapping

    def construct_number(self, node: yaml.ScalarNode) -> float:
        return float(node.value)


class _Dumper(yaml.SafeDumper):
    """Quotes text that any YAML reader would take for something else: those of YAML 1.1, and `_Loader`."""

    yaml_implicit_resolvers = {**yaml.SafeDumper.yaml_implicit_resolvers}  # noqa: RUF012 (as PyYAML has it)

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"[-+]?[0-9]+", [*"-+0123456789"]),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
):
    for _reader_or_writer in (_Loader, _Dumper):
        _reader_or_writer.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)


def read_body(file: Path) -> dict[str, Any]:
    """The object in `file`: JSON if its name ends in .json, YAML if it ends in .yaml or .yml, else whichever it is.

    `-` reads standard input. Raises ApiError, which names the file, for anything else.
    """
    name = "standard input" if str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise ApiError(f"{name}: {error.strerror}") from error
    except ValueError as error:
        raise ApiError(f"{name} is not text in UTF-8") from error
    is_yaml = _is_yaml(file, text)
    try:
        body = _from_yaml(text) if is_yaml else _from_json(text)
        json.dumps(body)
    except yaml.YAMLError as error:
        raise ApiError(f"{name} is not YAML: {_what_is_wrong(error)}") from error
    except TypeError as error:  # a YAML tag can make a date, bytes or a set
        raise ApiError(f"{name} holds a value that JSON does not have: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ApiError(f"{name} is not {'YAML' if is_yaml else 'JSON'}: {error}") from error
    if not isinstance(body, dict):
        raise ApiError(f"{name} holds no {'mapping' if is_yaml else 'JSON object'}")
    return body


def body_of(file: Path | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The object in `file`, or an empty one, with the values that the command line gives, which are not None."""
    return {
        **({} if file is None else read_body(file)),
        **{name: value for name, value in given.items() if value is not None},
    }


def read_value(text: str) -> Any:
    """The value that `text` is in YAML: a scalar, `[a list]` or `{a: mapping}`. Raises ValueError if it is none."""
    try:
        value = _from_yaml(text)
        json.dumps(value)
    except yaml.YAMLError as error:
        raise ValueError(_what_is_wrong(error)) from error
    except TypeError as error:
        raise ValueError(f"a value that JSON does not have: {error}") from error
    return value


def as_yaml(value: Any) -> str:
    """A value that JSON can hold, as a YAML document that `read_body` reads as the same value."""
    document: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=math.inf
    )
    if any(unfit_character(line) for line in document.split("\n")):  # a terminal would obey it; YAML can escape it
        document = yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=math.inf)
    return document


def _is_yaml(file: Path, text: str) -> bool:
    """Whether to read the text as YAML: as the file's name says, else if it is no JSON and looks like none."""
    if file.suffix.lower() in (*_YAML, _JSON):
        return file.suffix.lower() in _YAML
    try:
        _from_json(text)
    except (ValueError, RecursionError):
        return not text.lstrip().startswith(("{", "[")) or _can_be_yaml(text)
    return False


def _can_be_yaml(text: str) -> bool:
    try:
        _from_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return True


def _from_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("an object has a duplicate key")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _from_yaml(text: str) -> Any:
    loader = _Loader(text)
    try:
        if not loader.check_node():
            return None
        value = loader.get_data()
        if loader.check_node():
            raise yaml.YAMLError(_SEVERAL)
        return value
    finally:
        loader.dispose()


def _what_is_wrong(error: yaml.YAMLError) -> str:
    """Describes the error without quoting the file."""
    if error.args == (_SEVERAL,):
        return _SEVERAL
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be read"
    return problem if mark is None else f"line {mark.line + 1}: {problem}"
