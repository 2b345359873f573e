"""Names of files and images that are not UTF-8: archives from before it, and other systems, are full of them."""

UNREADABLE = "backslashreplace"
"""How a byte that is no UTF-8 is written: as \\xe9. Other names stay what they are, and no two become one."""


def readable(name: bytes) -> str:
    """A name as text that every file format takes."""
    return name.decode("utf-8", UNREADABLE)
