"""Whatever a JSON file holds, registration and a look end with a refusal that names the file, or with a dataset."""

import copy
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidRequest
from tests.support.looked_at import look
from tests.support.made_datasets import inspect, write_files
from tests.support.made_shards import picture

STRANGE: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**30, "", " ", "x", "\x00", "\ud800", "a/b.png", "../x", "C:\\a", float("nan")),
    *([], {}, [1], [[]], {"a": 1}, ["x"], {"choices": [1]}, "{", '{"choices":'),
)
CHOICES = [
    {"type": "choices", "from_name": "animal", "to_name": "image", "value": {"choices": [name]}} for name in "ab"
]
DOCUMENTS: dict[str, Any] = {
    "coco": {
        "categories": [{"id": 3, "name": "a"}, {"id": 17, "name": "b"}],
        "images": [{"id": row, "file_name": f"{row}.png"} for row in range(4)],
        "annotations": [{"id": row, "image_id": row, "category_id": (3, 17)[row % 2]} for row in range(4)],
    },
    "fiftyone, labels": {"classes": ["a", "b"], "labels": {"0": 0, "1": {"label": 1}, "2": [{"label": 0}], "3": None}},
    "fiftyone, samples": {
        "samples": [
            {"filepath": f"{row}.png", "truth": {"_cls": "Classification", "label": "ab"[row % 2]}} for row in range(4)
        ]
    },
    "label studio, tasks": [
        {"data": {"image": f"{row}.png"}, "annotations": [{"was_cancelled": False, "result": [CHOICES[row % 2]]}]}
        for row in range(4)
    ],
    "label studio, rows": [
        {"image": f"{row}.png", "choice": "ab"[row % 2], "annotation_id": row, "lead_time": 2.5} for row in range(4)
    ],
}


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield above
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield from places(below, (*above, key))


def changed(document: Any, draws: random.Random) -> Any:
    """The document with one value replaced or left out."""
    copied = copy.deepcopy(document)
    *above, last = draws.choice([place for place in places(copied) if place])
    parent = copied
    for key in above:
        parent = parent[key]
    if isinstance(parent, dict) and draws.random() < 0.3:
        del parent[last]
    else:
        parent[last] = draws.choice(STRANGE)
    return copied


@pytest.mark.attack
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_strange_value_anywhere_is_refused_or_left_out(tmp_path: Path, kind: str) -> None:
    root = write_files(tmp_path / "set", {f"{row}.png": picture(row) for row in range(4)})
    file = root / "export.json"
    file.write_text(json.dumps(DOCUMENTS[kind]))
    assert inspect(file).manifest.rows > 2
    draws = random.Random(kind)
    refusals: list[InvalidRequest] = []
    for _ in range(40):
        file.write_text(json.dumps(changed(DOCUMENTS[kind], draws)))
        with suppress(InvalidRequest):  # any other error fails the test
            look(root)
        try:
            inspect(file)
        except InvalidRequest as error:
            refusals.append(error)
    assert 0 < len(refusals) < 40
    assert all("export.json" in each.message or each.field == "classes" for each in refusals)
