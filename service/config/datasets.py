"""The body of POST /datasets."""

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from service.config.names import DEFAULT_PROJECT, ClassName, Name, ProjectName
from workers.specs.base import Frozen
from workers.specs.datasets import DatasetFormat, DatasetRole

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class DatasetRequest(Frozen):
    """A set of images to register, by the place where it lies. Nothing is copied: the files must stay as they are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "digits, labeled",
                    "role": "labeled",
                    "uri": "s3://pictures/digits/labeled/",
                    "format": "parquet",
                    "image_column": "image",
                    "label_column": "label",
                },
                {"name": "web pictures", "role": "unlabeled", "uri": "/data/web-pictures"},
                {"name": "crawl", "role": "unlabeled", "uri": "s3://pictures/crawl.csv", "format": "uri_list"},
            ]
        }
    )

    name: Name = Field(description="For people to read.")
    project: ProjectName = Field(
        default=DEFAULT_PROJECT, description="Whose dataset it is. Default: the project of the key that asks."
    )
    role: DatasetRole = Field(
        description="labeled: trained on; unlabeled: pseudo-labeled; evaluation: labeled, and never trained on."
    )
    uri: str = Field(
        min_length=1,
        max_length=8000,
        description="A folder, or one Parquet file, tar file or list of URIs: a path on the service's machine (which "
        "the Ray nodes must share), or an s3:// or gs:// URI. Folders are read with all their sub-folders; hidden "
        "files are passed over.",
    )
    format: DatasetFormat | None = Field(
        default=None,
        description="Null: by the files found. parquet: one image a row. image_folder: the first folder level names "
        "the class, where there are labels. webdataset: tar files, the label in .cls files. uri_list: files that list "
        "images by URI, absolute or relative to the list: text (.txt, one a line), .csv, .tsv, .jsonl or Parquet.",
    )
    image_column: ColumnName | None = Field(
        default=None,
        description="Parquet: a binary column of encoded images, or a struct column with a `bytes` field. uri_list: "
        "the column of URIs. Null: guessed by name (`image`, `bytes`; `uri`, `path`, ...), or the only fitting one.",
    )
    label_column: ColumnName | None = Field(
        default=None,
        description="Parquet and uri_list: integers or strings; the class name is the value as text. Null: guessed by "
        "name (`label`, `class`, ...). Unlabeled datasets: ignored.",
    )
    key_column: ColumnName | None = Field(
        default=None,
        description="Parquet and uri_list: integers or strings that name the images. Null: in Parquet guessed by name "
        "(`key`, `id`, ...), without such a column FILE:ROW; in a list the URI as it is written there.",
    )
    classes: tuple[ClassName, ...] | None = Field(
        default=None,
        max_length=100_000,
        description="Class names in index order. Null: the distinct labels, in numeric order where all are integers, "
        "else sorted. Give them where a dataset does not hold every class. Unlabeled datasets: ignored.",
    )
