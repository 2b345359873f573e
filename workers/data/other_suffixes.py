"""Suffixes of files that are neither pictures nor tables that can be read. Their content need not be looked at."""

from workers.data.names import HEIF_SUFFIXES, READS_HEIF

LISTS = frozenset({"csv", "tsv", "jsonl", "ndjson"})
COMPRESSED = frozenset({"gz", "bz2", "xz", "zst", "lz4", "tgz", "tbz2", "txz", "br"})
ARCHIVES = frozenset({"zip", "7z", "rar"})
TABLES = frozenset(
    {
        *(
            "ipc",
            "orc",
            "avro",
            "h5",
            "hdf5",
            "npy",
            "npz",
            "tfrecord",
            "lmdb",
            "mdb",
            "rec",
            "mat",
        ),
        *("pkl", "pickle", "pt", "pth", "pyd", "msgpack", "db", "sqlite", "beton", "mds", "safetensors"),
    }
)
PICTURES = frozenset(
    {
        *(
            "cr2",
            "cr3",
            "nef",
            "arw",
            "dng",
            "orf",
            "rw2",
            "raf",
            "pef",
            "srw",
            "raw",
            "psd",
            "xcf",
            "svg",
            "eps",
            "ai",
        ),
        *("ico", "icns", "tga", "exr", "hdr", "jxl", "dcm", "nii", "pdf", "fits"),
    }
)
"""Pictures that are not read. A camera's raw picture begins like a TIFF, and would yield only its thumbnail."""
UNREAD_HEIF = frozenset() if READS_HEIF else HEIF_SUFFIXES
TEXTS = frozenset(
    {"txt", "json", "xml", "html", "htm", "md", "rst", "yaml", "yml", "toml", "ini", "cfg", "log", "py", "sh", "ipynb"}
)
REST = frozenset(
    {
        *("mp4", "avi", "mov", "mkv", "webm", "wav", "mp3", "flac", "doc", "docx", "xls", "xlsx", "url", "lnk", "lock"),
        *("idx", "cls", "info", "caption"),
    }
)

OTHER_SUFFIXES = LISTS | COMPRESSED | ARCHIVES | TABLES | PICTURES | UNREAD_HEIF | TEXTS | REST
