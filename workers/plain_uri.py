"""Parses the URI of a file or folder. No other module does: all of them use the parsed value.

Two parsers that read a URI differently are a security hole: one judges a file, and the other opens another.
"""

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

LOCAL = "file"
OBJECT_STORES = frozenset({"s3", "gs", "gcs"})

_WITH_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_AUTHORITY = re.compile(r"(?:[^@/\\\s]+@)?[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_LONGEST_BUCKET = 255
"""The most characters of old S3 buckets. Google's have at most 222."""
_QUERY = re.compile(r"[A-Za-z0-9._~:/%=&+,@\[\]-]*")
_UNESCAPED = "/!$&'()*+,;=:@"
"""The characters that are not escaped in the path of a URI (RFC 3986, pchar)."""


class NotPlain(ValueError):
    """The text is no URI in its plain form. The message says why, and how to write it."""


@dataclass(frozen=True)
class Location:
    """A parsed URI."""

    scheme: str
    """In lower case. `file` for any local path."""
    authority: str
    """The bucket, which may have `user@` before it; empty for a local path."""
    path: str
    """Decoded. A local path is absolute and normalised; a key in a bucket has no slash at either end."""
    query: str
    """The options of an object store, as they were written."""

    @property
    def uri(self) -> str:
        """The URI in its plain form. A local path has no scheme."""
        if self.scheme == LOCAL:
            return self.path
        path = f"/{quote(self.path, _UNESCAPED)}" if self.path else ""
        return f"{self.scheme}://{self.authority}{path}{'?' if self.query else ''}{self.query}"


def parse_place(text: str) -> Location:
    """Parses a local path or a URI with file://, s3:// or gs://. Raises NotPlain.

    A relative path begins at the working directory, and `..` in a local path goes up. In a URI the parts `.` and `..`
    are refused, encoded or not. So is whatever two readers may understand differently: a fragment, control characters,
    a percent sign that begins no escape, a backslash, a port, an empty part of a key.
    """
    if "\x00" in text:
        raise NotPlain("it has a NUL character in it (U+0000)")
    written = _WITH_SCHEME.fullmatch(text)
    if written is None:
        return Location(LOCAL, "", _local(text), "")
    scheme = written[1].lower()
    if scheme != LOCAL and scheme not in OBJECT_STORES:
        raise NotPlain(f"{scheme}:// is no kind of place that files are read from: give a path, s3:// or gs://")
    address, question, query = _without_fragment(written[2]).partition("?")
    authority, _, encoded = address.partition("/")
    path = _decoded(encoded)
    if scheme == LOCAL:
        if question:
            raise NotPlain("file:// has no options: a question mark in a name is written %3F")
        if authority.lower() not in ("", "localhost"):
            raise NotPlain("file:// takes no host: file:///PATH, or the path alone")
        return Location(LOCAL, "", _local(f"/{path}"), "")
    if _AUTHORITY.fullmatch(authority) is None:
        raise NotPlain(f"no bucket can be read after {scheme}://: it is followed by the bucket's name alone, no port")
    if len(authority) > _LONGEST_BUCKET:
        raise NotPlain(f"its bucket has a name of {len(authority)} characters: none has more than {_LONGEST_BUCKET}")
    if _QUERY.fullmatch(query) is None or _BAD_ESCAPE.search(query):
        raise NotPlain("its options (after the question mark) are not NAME=VALUE&NAME=VALUE, percent-encoded")
    path = path.removesuffix("/")
    if "" in path.split("/") and path:
        raise NotPlain(
            "its key has an empty part (two slashes in a row, or one at its begin), which is not read: give such "
            "objects other keys"
        )
    return Location("gs" if scheme == "gcs" else scheme, authority, path, query)


def below(folder_uri: str, name: str) -> str:
    """The URI of the file `name` in a folder. Characters of the name that need an escape get one."""
    if not is_uri(folder_uri):
        return f"{folder_uri.rstrip('/')}/{name}"
    address, question, query = folder_uri.partition("?")
    return f"{address.rstrip('/')}/{quote(name, _UNESCAPED)}{question}{query}"


def folder_of(uri: str) -> str:
    """The URI of the folder in which a file or folder lies; the bucket or the root lie in themselves."""
    address, question, query = uri.partition("?") if is_uri(uri) else (uri, "", "")
    scheme, mark, path = address.rstrip("/").rpartition("://")
    folder = path.rpartition("/")[0]
    return f"{scheme}{mark}{folder or (path if mark else '/')}{question}{query}"


def is_uri(text: str) -> bool:
    """Whether the text has a scheme. Otherwise it is a local path."""
    return _WITH_SCHEME.fullmatch(text) is not None


def control_character(text: str) -> str | None:
    """The first control character in the text, written as U+001B; None if there is none."""
    found = _CONTROL.search(text)
    return None if found is None else f"U+{ord(found[0]):04X}"


def _local(path: str) -> str:
    return re.sub("^//+", "/", os.path.abspath(path))


def _without_fragment(rest: str) -> str:
    if "#" in rest:
        raise NotPlain("it has a fragment (after #): a # that belongs to a name is written %23")
    if "\\" in rest:
        raise NotPlain("it has a backslash: one that belongs to a name is written %5C")
    return rest


def _decoded(encoded: str) -> str:
    if _BAD_ESCAPE.search(encoded):
        raise NotPlain("it has a percent sign that begins no escape: one that belongs to a name is written %25")
    try:
        path = unquote(encoded, errors="strict")
        path.encode()
    except UnicodeError as error:
        raise NotPlain("it is not UTF-8 when decoded") from error
    if (found := control_character(path)) is not None:
        raise NotPlain(f"it has a control character in it ({found})")
    if {".", ".."} & set(path.replace("\\", "/").split("/")):
        raise NotPlain("`.` and `..` are refused in a URI")
    return path
