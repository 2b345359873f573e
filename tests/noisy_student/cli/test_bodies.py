"""Request bodies can be JSON or YAML, and errors in a file are reported without its content."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisy_student.cli.bodies import as_yaml, read_body
from noisy_student.errors import ApiError
from workers.specs.text import unfit_character


def _written(tmp_path: Path, text: str, name: str = "body.yaml") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),
        ("3.", 3.0),
        (".5", 0.5),
        ("-7", -7),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("2026-01-01", "2026-01-01"),
        ("12:30:00", "12:30:00"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("'1'", "1"),
        ("top1 >= previous", "top1 >= previous"),
        ("[a, 1]", ["a", 1]),
    ],
)
def test_yaml_has_jsons_values(tmp_path: Path, written: str, value: object) -> None:
    read = read_body(_written(tmp_path, f"x: {written}"))
    assert read == {"x": value}
    assert type(read["x"]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.yaml", "x: [secret", "is not YAML: line 1: "),
        ("a.yml", "x: 1\ny: !!python/object/apply:os.system [secret]", "is not YAML: line 2: "),
        ("a.yaml", "x: 1\nsecret: 1\nx: 2", "is not YAML: line 1: a duplicate key"),
        ("a.yaml", "- secret", "holds no mapping"),
        ("a.yaml", "", "holds no mapping"),
        ("a.json", "{secret", "is not JSON: "),
        ("a.json", "[1]", "holds no JSON object"),
        ("a.json", '{"a": 1, "a": "secret"}', "is not JSON: an object has a duplicate key"),
        ("a.json", '{"a": NaN}', "is not JSON: NaN is no number of JSON"),
        ("body", '{"a": [secret', "is not JSON: "),
        ("body", "x: [secret", "is not YAML: line 1: "),
        ("a.json", "[" * 100_000, "is not JSON: "),
        ("a.yaml", "[" * 5_000, "is not YAML: "),
        ("a.yaml", "x: !!timestamp 2026-01-01", "holds a value that JSON does not have"),
        ("a.yaml", "x: !!binary c2VjcmV0", "holds a value that JSON does not have"),
        ("a.yaml", "x: &x [*x]", "is not YAML: "),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(tmp_path: Path, name: str, text: str, told: str) -> None:
    file = _written(tmp_path, text, name)
    with pytest.raises(ApiError) as wrong:
        read_body(file)
    assert str(wrong.value).startswith(f"{file} ")
    assert told in str(wrong.value)
    assert "secret" not in str(wrong.value)


@pytest.mark.parametrize("name", ["a.yaml", "a.txt"])
def test_several_documents_are_refused(tmp_path: Path, name: str) -> None:
    file = _written(tmp_path, "name: secret\n---\nname: b\n", name)
    with pytest.raises(ApiError, match="it holds several documents, and the command takes one") as wrong:
        read_body(file)
    assert "secret" not in str(wrong.value)


def test_one_document_with_its_marks_is_one(tmp_path: Path) -> None:
    assert read_body(_written(tmp_path, "---\nname: a\n...\n")) == {"name": "a"}


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ('{"a": "b: c"}', {"a": "b: c"}),
        ("a: 1e-3", {"a": 0.001}),
        ("{a: [1, b]}", {"a": [1, "b"]}),
        ('{"a":\t1}', {"a": 1}),
    ],
)
def test_a_file_of_any_other_name_is_json_or_yaml(tmp_path: Path, text: str, body: object) -> None:
    assert read_body(_written(tmp_path, text, "body")) == body


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), _VALUES, max_size=3))
def test_what_is_written_as_yaml_reads_back_the_same(tmp_path_factory: pytest.TempPathFactory, body: object) -> None:
    file = tmp_path_factory.getbasetemp() / "written.yaml"
    file.write_text(as_yaml(body), encoding="utf-8")
    assert read_body(file) == body


@pytest.mark.parametrize(
    "text",
    ["no", "1e3", "2026-01-01", "0x10", "~", "", "=", "<<", "a: b", "# a", "\x1b[31m", "\u202e", "a\tb\n ", "é ☃ 🐱"],
)
def test_text_stays_text(tmp_path: Path, text: str) -> None:
    written = as_yaml({"x": text})
    assert read_body(_written(tmp_path, written)) == {"x": text}
    assert unfit_character(written.replace("\n", "")) is None


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="No such file"):
        read_body(tmp_path / "absent.yaml")
