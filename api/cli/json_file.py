"""Reads a request's body from a JSON file."""

import json
import sys
from pathlib import Path
from typing import Any

from api.cli.client import ApiError


def read_json_object(file: Path) -> dict[str, Any]:
    """The object in `file`; `-` is standard input. Raises ApiError, naming the file, for anything else."""
    try:
        body = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ApiError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise ApiError(f"{file} is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ApiError(f"{file} holds no JSON object")
    return body
