"""The HTML of all pages: Jinja2 templates, in which every value is escaped and a missing one is an error."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_FOLDER = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,  # of every file, whatever its name ends in
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(name: str, **values: str) -> str:
    """The template of that name with its values filled in."""
    return _TEMPLATES.get_template(name).render(values)
