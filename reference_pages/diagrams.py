"""Shows state diagrams as tables: to draw mermaid, as forges do, the site would have to load foreign scripts."""

import re

_BLOCK = re.compile(r"^```mermaid\nstateDiagram-v2\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ARROW = re.compile(r"^\s*(?P<before>\S+) --> (?P<after>[^\s:]+)(?:: (?P<why>.+))?$")
_BORDER = "[*]"


def with_tables(markdown: str) -> str:
    """The page, with each state diagram replaced by a table of its transitions."""
    return _BLOCK.sub(lambda block: _table(block[1]), markdown)


def _table(arrows: str) -> str:
    rows = ["| from | to | when |", "| --- | --- | --- |"]
    for line in arrows.splitlines():
        arrow = _ARROW.match(line)
        if arrow is None:
            raise ValueError(f"{line!r} is no arrow of a state diagram: write it as `before --> after: why`")
        before = "*begins*" if arrow["before"] == _BORDER else f"`{arrow['before']}`"
        after = "*ends*" if arrow["after"] == _BORDER else f"`{arrow['after']}`"
        rows.append(f"| {before} | {after} | {arrow['why'] or ''} |")
    return "\n".join(rows)
