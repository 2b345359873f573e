"""Reads request bodies from files: JSON, or YAML with JSON's scalars."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from noisy_student.errors import ApiError

_YAML_SUFFIXES = (".yaml", ".yml")


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


for _tag, _pattern, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"[-+]?[0-9]+", [*"-+0123456789"]),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)


def read_body(file: Path) -> dict[str, Any]:
    """The object in `file`: YAML if the name ends in .yaml or .yml, else JSON. `-` reads JSON from standard input.

    Raises ApiError, which names the file, for anything else.
    """
    is_yaml = file.suffix.lower() in _YAML_SUFFIXES
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        body = _from_yaml(text) if is_yaml else json.loads(text)
        json.dumps(body)
    except OSError as error:
        raise ApiError(f"{file}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ApiError(f"{file} is not YAML: {_what_is_wrong(error)}") from error
    except TypeError as error:  # a YAML tag can make a date, bytes or a set
        raise ApiError(f"{file} holds a value that JSON does not have: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ApiError(f"{file} is not {'YAML' if is_yaml else 'JSON'}: {error}") from error
    if not isinstance(body, dict):
        raise ApiError(f"{file} holds no {'mapping' if is_yaml else 'JSON object'}")
    return body


def _from_yaml(text: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _what_is_wrong(error: yaml.YAMLError) -> str:
    """Describes the error without quoting the file."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be read"
    return problem if mark is None else f"line {mark.line + 1}: {problem}"
