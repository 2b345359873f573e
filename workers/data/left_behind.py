"""What file systems, engines and programs leave beside data: one rule, for folders, buckets and tar files alike."""

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
    """Whether a file is none of the data, by its name with slashes, relative to the dataset's place.

    So is what lies in such a folder, and what is hidden (its name begins with a dot). An underscore alone hides
    nothing, as it does for Spark: `_other` may be a class.
    """
    return any(_is_left_behind(part) for part in name.split("/"))


def is_hidden_by_somebody(folder: str) -> bool:
    """Whether a folder's own name hides it, and no program is known to make folders of that name.

    A person may have named a class so: it is passed over as any hidden one, but that is said.
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
