"""Explains why no reader can open an entry of a list, without repeating what the list holds."""

import re

from workers.data.names import HEIF_SUFFIXES, IMAGE_SUFFIXES, suffix_of

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//?)?")
_READ_SCHEMES = frozenset({"s3", "gs", "file"})
_KNOWN_SCHEMES = frozenset(
    {
        *(
            "ftp",
            "ftps",
            "sftp",
            "ssh",
            "scp",
            "smb",
            "nfs",
            "hdfs",
            "webhdfs",
            "viewfs",
            "dbfs",
            "abfs",
            "abfss",
            "adl",
        ),
        *(
            "az",
            "azure",
            "wasb",
            "wasbs",
            "s3a",
            "s3n",
            "gcs",
            "oss",
            "cos",
            "cosn",
            "obs",
            "b2",
            "r2",
            "swift",
            "minio",
        ),
        *("hf", "ipfs", "zip", "tar", "jar", "memory", "blob", "dvc", "wandb", "mlflow", "kaggle", "gdrive", "dropbox"),
    }
)
"""The schemes that a message may name. What looks like another one might be a secret with a colon."""
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_LABEL_STUDIO = "/data/local-files/?d="
_SEVERAL_FIELDS = re.compile(r"\.\w{3,4}[\s,;|]+\S")

_LIST_PATHS = "list their paths, or their s3:// or gs:// URIs"


def why_never_opened(entry: str) -> str | None:
    """What an entry is that no reader can open, and what to do about it; None if it may be opened."""
    if entry.startswith(_LABEL_STUDIO):
        return f"an address of Label Studio's local files: {_LIST_PATHS}, as they follow `?d=`"
    if _DRIVE.match(entry) or entry.startswith("\\\\"):
        return f"a path of Windows, which the cluster cannot open: {_LIST_PATHS}"
    if entry.startswith("~"):
        return "a path that begins with ~, which is another folder for everybody: write it out"
    scheme = _SCHEME.match(entry)
    name = "" if scheme is None else scheme[1].lower()
    if scheme is None or not (scheme[2] == "//" or name == "data" or (scheme[2] and name in _KNOWN_SCHEMES)):
        return None
    if name in ("http", "https"):
        return f"an {name} address, and the web is not read: download the images, then {_LIST_PATHS}"
    if name == "data":
        return "a data: URI, which holds the image itself: write the images to Parquet, or as files"
    if name == "file" and not entry[len("file://") :].startswith("/"):
        return "a file:// URI of another machine: three slashes follow `file:` where it is this one"
    if name in _READ_SCHEMES:
        return None
    known = f"{name}://, a scheme" if name in _KNOWN_SCHEMES else "a URI of a scheme"
    return f"{known} that is not read: {_LIST_PATHS}"


def why_not_there(entry: str) -> str:
    """A guess why no file exists where an entry points."""
    name = entry.rpartition("/")[2]
    if "://" in entry:
        return "there is no such object"
    if _SEVERAL_FIELDS.search(name):
        return (
            "there is no such file; it seems to have several fields: give a .csv or .tsv that begins with their names"
        )
    if "\\" in entry:
        return "there is no such file; it has backslashes, as paths of Windows have"
    if suffix_of(name) not in IMAGE_SUFFIXES | HEIF_SUFFIXES:
        return "there is no such file; its name has no suffix of a picture, as an id has none: list paths"
    return "there is no such file; paths are relative to the folder of the list"


def looks_like_an_entry(cell: str) -> bool:
    """Whether a cell in the first line of a table is an image rather than the name of a column."""
    return bool("/" in cell or "\\" in cell or suffix_of(cell) in IMAGE_SUFFIXES | HEIF_SUFFIXES)
