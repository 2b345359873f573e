"""Recognises files that file systems, engines and programs leave beside data, in folders, buckets and tar files."""

_LEFT_BEHIND = frozenset(
    {
        # Of file servers, Windows, Mac, and the web servers of old
        *("@eaDir", "#recycle", "#snapshot", "~snapshot", "@Recycle", "@Recently-Snapshot", "@tmp", "@sharebin"),
        *("$RECYCLE.BIN", "RECYCLER", "System Volume Information", "Thumbs.db", "ehthumbs.db", "desktop.ini"),
        *("ehthumbs_vista.db", "_vti_cnf", "lost+found", "__MACOSX", "Icon\r", "Network Trash Folder"),
        *("Temporary Items", "__pycache__", "node_modules"),
        *("_temporary", "_SUCCESS", "_FAILURE", "_delta_log", "_change_data", "_spark_metadata"),  # Spark, Delta
        *("_metadata", "_common_metadata", "_symlink_format_manifest", "_delta_index", "_logs"),
    }
)
_OF_ANY_CASE = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin"})
_HIDDEN_BY_PROGRAMS = frozenset(
    {
        *(".git", ".svn", ".hg", ".bzr", ".dvc", ".cache", ".venv", ".idea", ".vscode", ".ipynb_checkpoints"),
        *(".DS_Store", ".Spotlight-V100", ".fseventsd", ".Trashes", ".TemporaryItems", ".DocumentRevisions-V100"),
        *(".AppleDouble", ".AppleDB", ".AppleDesktop", ".MobileBackups", ".thumbnails", ".@__thumb", ".@upload_cache"),
        *(".snapshot", ".snapshots", ".zfs", ".stfolder", ".stversions", ".sync", ".dropbox.cache", ".streams"),
        *(".hive-staging", ".spark-staging", ".huggingface", ".ds_store", ".nfs", ".tmp", ".temp"),
    }
)
_HIDDEN_BEGINNINGS = ("._", ".Trash", ".nfs", ".hive-staging", ".spark-staging", ".fuse_hidden", ".tmp", ".~")
_BEGINNINGS = (".", "~$", "_committed_", "_started_")
_ENDINGS = ("~", "_$folder$", ".crc", ".tmp", ".temp", ".part", ".partial", ".crdownload", ".filepart", ".swp")


def is_left_behind(name: str) -> bool:
    """Whether a file does not belong to the data. `name` is its path, with slashes, relative to the dataset.

    Hidden files, whose names begin with a dot, do not belong to it, nor does anything in such a folder. A leading
    underscore hides nothing here, unlike in Spark: `_other` may be a class.
    """
    return any(_is_left_behind(part) for part in name.split("/"))


def is_hidden_by_somebody(folder: str) -> bool:
    """Whether a folder is hidden by its name, and no known program makes folders of that name.

    A person may have named a class so. The folder is skipped like any hidden one, but registration says so.
    """
    known = folder in _HIDDEN_BY_PROGRAMS or folder.startswith(_HIDDEN_BEGINNINGS)
    return folder.startswith(".") and folder not in (".", "..") and not known


def _is_left_behind(part: str) -> bool:
    if part in ("", ".", ".."):  # a tar file may call its members ./a/1.jpg
        return False
    return (
        part in _LEFT_BEHIND
        or part.lower() in _OF_ANY_CASE
        or part.startswith(_BEGINNINGS)
        or part.lower().endswith(_ENDINGS)
    )
