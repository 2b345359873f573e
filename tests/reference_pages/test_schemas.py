"""JSON schemas become Markdown."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from reference_pages.schemas import fields_table, link_here, sections, type_of


class Noise(BaseModel):
    """What acts on the student."""

    drop_path: float = Field(default=0.2, ge=0, lt=1, description="Of the last block.")


class Recipe(BaseModel):
    """One training."""

    steps: int = Field(gt=0)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    noise: Noise | None = Field(default=None, description="a | b, <not a tag>")
    names: tuple[Annotated[str, Field(max_length=9)], ...] = Field(default=("x",), min_length=1)
    weights: dict[str, float] = {}
    folder: str = Field(default_factory=str, pattern="^[a-z]+$")


def test_each_field_has_a_row_with_its_type_default_and_bounds() -> None:
    rows = fields_table(Recipe.model_json_schema())

    assert rows[2:] == [
        "| `steps` | integer | **required** | (> 0) |",
        '| `optimizer` | `"adamw"` or `"sgd"` | `"adamw"` |  |',
        "| `noise` | [Noise](#noise) or null | `null` | a \\| b, &lt;not a tag> |",
        '| `names` | list of text | `["x"]` | (1 entries or more) |',
        "| `weights` | map of names to number | `{}` |  |",
        "| `folder` | text | – | (matches `^[a-z]+$`) |",
        "",
    ]


def test_what_is_below_has_sections_that_the_links_lead_to() -> None:
    lines = sections(Recipe.model_json_schema()["$defs"])

    assert lines == [
        "## Noise { #noise }",
        "",
        "What acts on the student.",
        "",
        "| field | type | default | meaning |",
        "| --- | --- | --- | --- |",
        "| `drop_path` | number | `0.2` | Of the last block. (≥ 0; &lt; 1) |",
        "",
    ]
    assert link_here("Noise") == "[Noise](#noise)"


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"const": "run"}, '`"run"`'),
        ({"anyOf": [{"type": "string"}, {"type": "string", "maxLength": 3}]}, "text"),
        ({"type": "array"}, "list"),
        ({"type": "object"}, "object"),
        ({"type": "string", "format": "password"}, "secret text"),
        ({}, "any value"),
    ],
)
def test_types_are_words(schema: dict[str, object], text: str) -> None:
    assert type_of(schema) == text


def test_a_schema_without_fields_says_what_it_is() -> None:
    assert fields_table({"enum": ["viewer", "admin"]}) == ['`"viewer"` or `"admin"`.', ""]
