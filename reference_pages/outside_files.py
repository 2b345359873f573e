"""Files outside `docs/` that the site shows too, and the links between pages, whose targets differ in the site."""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = "docs"
PAGE_OF = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/RESULTS.md": "results.md",
    "examples": "examples.md",
}
"""The pages of the site, by the files and folders of the repository that they show."""
_FILE_OF = {page: file for file, page in PAGE_OF.items()}
_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_FENCE = re.compile(r"^\s*```")


def outside_page(page: str) -> str:
    """The Markdown of a page whose file is outside `docs/`."""
    file = ROOT / _FILE_OF[page]
    return _examples(file) if file.is_dir() else file.read_text(encoding="utf-8")


def linked(markdown: str, page: str) -> str:
    """The page with links as the site needs them. A link to a file that is not on the site becomes plain text."""
    folder = posixpath.dirname(_FILE_OF.get(page, f"{DOCS}/{page}"))
    lines, is_code = [], False
    for line in markdown.split("\n"):
        is_code ^= bool(_FENCE.match(line))
        lines.append(line if is_code else _LINK.sub(lambda link: _link(link, folder, page), line))
    return "\n".join(lines)


def _link(link: re.Match[str], folder: str, page: str) -> str:
    path, hash_, anchor = link["target"].partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return link[0]
    target = posixpath.normpath(posixpath.join(folder, path))
    if target in PAGE_OF:
        there = PAGE_OF[target]
    elif target.startswith(f"{DOCS}/"):
        there = target.removeprefix(f"{DOCS}/")
    else:
        return link["text"]
    return f"[{link['text']}]({posixpath.relpath(there, posixpath.dirname(page) or '.')}{hash_}{anchor})"


def _examples(folder: Path) -> str:
    lines = [
        "# Examples",
        "",
        "Run bodies for `noisy-student runs create FILE`, and programs that use the client. The tests run all of them.",
    ]
    for file in sorted(each for each in folder.rglob("*") if each.suffix in (".yaml", ".py")):
        name = file.relative_to(folder.parent).as_posix()
        if file.name != "__init__.py":
            language = file.suffix[1:]
            lines += ["", f"## `{name}`", "", f"```{language}", file.read_text(encoding="utf-8").rstrip(), "```"]
    return "\n".join(lines) + "\n"
