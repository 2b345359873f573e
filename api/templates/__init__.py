"""The HTML of all pages, as Jinja2 templates. Every value is escaped, and a missing value is an error."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_FOLDER = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,  # in all files, whatever their suffix
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(name: str, **values: str) -> str:
    """The template `name`, filled in with `values`. Raises jinja2's UndefinedError for a value that is missing."""
    return _TEMPLATES.get_template(name).render(values)
