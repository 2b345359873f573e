"""Files by other writers: pandas, Polars, DuckDB, fastparquet, Hugging Face's `datasets`, WebDataset, Delta, HEIF.

The writers need an environment of their own: set INPUT_WRITERS to its Python. Those missing from it are skipped.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from benchmarks.inputs.expectations import Accepted, Body, DatasetInput, Outcome, Refused, Row
from benchmarks.inputs.made_pictures import photo
from benchmarks.inputs.trees import write

_KIND = "foreign writers"
_LABELS = ["cat", "dog"] * 3
_NAMED = Accepted(tuple(Row(label, photo(row)) for row, label in enumerate(_LABELS)))
_NUMBERED = Accepted(tuple(Row(str(row % 2), photo(row)) for row in range(6)))
_HEADER = """
import glob
images = [open(name, "rb").read() for name in sorted(glob.glob("../pictures/*.jpg"))]
labels = ["cat", "dog"] * 3
"""
_QUERY = (
    "select content as image, case when row_number() over (order by filename) % 2 = 1 then 'cat' else 'dog' end"
    " as label from read_blob('../pictures/*.jpg')"
)
_HUB = (
    "from datasets import ClassLabel, Dataset, Features, Image\n"
    "Dataset.from_dict({'image': [{'bytes': image, 'path': None} for image in images], 'label': [0, 1] * 3},"
    " features=Features({'image': Image(), 'label': ClassLabel(names=['cat', 'dog'])}))"
)
_TABLES = {
    "pandas": (
        "pandas",
        "import pandas as pd\npd.DataFrame({'image': images, 'label': labels}).to_parquet('a.parquet')",
    ),
    "pandas with an index": (
        "pandas",
        "import pandas as pd\n"
        "pd.DataFrame({'image': images, 'label': labels}, index=list('abcdef')).to_parquet('a.parquet')",
    ),
    "pandas' categories": (
        "pandas",
        "import pandas as pd\npd.DataFrame({'image': images, 'label': pd.Categorical(labels)}).to_parquet('a.parquet')",
    ),
    "polars": (
        "polars",
        "import polars as pl\npl.DataFrame({'image': images, 'label': labels}).write_parquet('a.parquet')",
    ),
    "polars' own writer of categories": (
        "polars",
        "import polars as pl\npl.DataFrame({'image': images, 'label': labels})"
        ".with_columns(pl.col('label').cast(pl.Categorical)).write_parquet('a.parquet')",
    ),
    "duckdb": ("duckdb", f"import duckdb\nduckdb.sql(\"copy ({_QUERY}) to 'a.parquet'\")"),
    "duckdb's partitions": (
        "duckdb",
        f"import duckdb\nduckdb.sql(\"copy ({_QUERY}) to '.'\"\n"
        '"(format parquet, partition_by (label), overwrite_or_ignore)")',
    ),
    "fastparquet": (
        "fastparquet",
        "import fastparquet, pandas as pd\nframe = pd.DataFrame({'image': pd.Series(images, dtype=object),"
        " 'label': pd.Series(labels, dtype=object)})\n"
        "fastparquet.write('a.parquet', frame, object_encoding={'image': 'bytes', 'label': 'utf8'})",
    ),
    "webdataset's writer": (
        "webdataset",
        "import webdataset as wds\nwith wds.TarWriter('a-000000.tar') as sink:\n"
        "    for row, image in enumerate(images):\n"
        "        sink.write({'__key__': f'{row:06d}', 'jpg': image, 'cls': labels[row]})",
    ),
    "webdataset's writer of json": (
        "webdataset",
        "import webdataset as wds\nwith wds.TarWriter('a-000000.tar') as sink:\n"
        "    for row, image in enumerate(images):\n"
        "        sink.write({'__key__': f'{row:06d}', 'jpg': image, 'json': {'label': labels[row]}})",
    ),
    "webdataset's writer, compressed": (
        "webdataset",
        "import webdataset as wds\nwith wds.TarWriter('a-000000.tar.gz') as sink:\n"
        "    for row, image in enumerate(images):\n"
        "        sink.write({'__key__': f'{row:06d}', 'jpg': image, 'cls': labels[row]})",
    ),
    "the hub's to_parquet": ("datasets", _HUB + ".to_parquet('a.parquet')"),
    "the hub's save_to_disk": ("datasets", _HUB + ".save_to_disk('.')"),
    "a Delta table": (
        "deltalake",
        "import deltalake, pyarrow as pa\ndeltalake.write_deltalake('.', pa.table({'image': images, 'label': labels}))",
    ),
    "a Delta table that was written over": (
        "deltalake",
        "import deltalake, pyarrow as pa\nfor turn in range(2):\n"
        "    deltalake.write_deltalake('.', pa.table({'image': images, 'label': labels}), mode='overwrite')",
    ),
}
_ALSO: dict[str, tuple[Outcome, ...]] = {
    "webdataset's writer of json": (Refused(says=("json|cls|label",)),),
    "webdataset's writer, compressed": (Refused(says=("gz|compress",)),),
    "duckdb's partitions": (Refused(says=("label=|hive|partition",)),),
    "the hub's to_parquet": (Accepted(_NUMBERED.rows, says=("cat|ClassLabel|names",)),),
    "the hub's save_to_disk": (Refused(says=("arrow",)), Accepted(_NUMBERED.rows, says=("cat|ClassLabel|names",))),
    "a Delta table that was written over": (Refused(says=("delta",)),),
}


def inputs() -> Iterator[DatasetInput]:
    """Yields all inputs of this module."""
    for name, (package, script) in _TABLES.items():
        yield DatasetInput(name, _KIND, _by(script), (_NAMED, *_ALSO.get(name, ())), needs=f"python:{package}")


def is_there(package: str) -> bool:
    """Whether the writers' environment has the package."""
    return package in _packages()


@cache
def _packages() -> frozenset[str]:
    python = os.environ.get("INPUT_WRITERS")
    if python is None:
        return frozenset()
    code = "import importlib.util as u; print(*(p for p in %r if u.find_spec(p)))"
    known = sorted({package for package, _ in _TABLES.values()})
    done = subprocess.run([python, "-c", code % known], capture_output=True, text=True, check=True)
    return frozenset(done.stdout.split())


def _by(script: str) -> Callable[[Path], Body]:
    def make(folder: Path) -> Body:
        write(folder / "pictures", {f"{row}.jpg": photo(row) for row in range(6)})
        (folder / "data").mkdir()
        code = _HEADER + script
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        python = os.environ["INPUT_WRITERS"]
        subprocess.run([python, "-c", code], cwd=folder / "data", env=variables, check=True, capture_output=True)
        return {"uri": "data"}

    return make
