"""The bodies of POST /datasets and POST /datasets/{id}/versions."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from service.config.names import DEFAULT_PROJECT, ClassName, Name, ProjectName, Reference
from workers.specs.base import Frozen, field_error
from workers.specs.datasets import DatasetFormat, DatasetRole

ExportFormat = Literal["label_studio", "fiftyone", "coco"]
"""Exports of labeling tools, which registration turns into lists of images."""
EXPORT_FORMATS: tuple[ExportFormat, ...] = ("label_studio", "fiftyone", "coco")
RequestedFormat = Literal[DatasetFormat, ExportFormat]
"""What a request may name as its format."""
SplitName = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


PartName = Literal["train", "validation", "test"]
Share = Annotated[float, Field(ge=0, le=0.4)]


class DatasetPart(Frozen):
    """One part of labeled images that have no split of their own. Nothing is moved or copied.

    The same shares and seed give parts without a common image, and always the same ones.
    """

    name: PartName
    validation_share: Share = Field(
        default=0.1, description="The share of each class that is taken for validation: at least one image."
    )
    test_share: Share = Field(
        default=0.1, description="The share of each class that is taken for the test: at least one image."
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Decides which images are taken.")

    @model_validator(mode="after")
    def _takes_something(self) -> Self:
        if self.name != "train" and not getattr(self, f"{self.name}_share"):
            raise field_error(f"{self.name}_share", f"is 0, so there is no {self.name} part")
        return self


class DatasetRequest(Frozen):
    """An image dataset to register by its location. Nothing is copied, so the files must not change."""

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

    name: Name = Field(description="Display name.")
    project: ProjectName = Field(
        default=DEFAULT_PROJECT,
        description="The project that owns the dataset. Default: the project of the caller's key.",
    )
    role: DatasetRole = Field(
        description="labeled: for training; unlabeled: for pseudo labels; evaluation: labeled, never trained on."
    )
    uri: str = Field(
        min_length=1,
        max_length=8000,
        description="A folder, or one Parquet file, tar file or list of URIs: a path on the service's machine (which "
        "the Ray nodes must share), or an s3:// or gs:// URI. Folders are read with all subfolders; hidden "
        "files are skipped.",
    )
    format: RequestedFormat | None = Field(
        default=None,
        description="parquet: one image per row. arrow: the same in Arrow files, as Hugging Face's save_to_disk writes "
        "them. image_folder: the first folder level names the class, if there are labels. webdataset: tar files with "
        "the label in .cls files. uri_list: files that list images by URI, absolute or relative to the list: text "
        "(.txt, one per line), .csv, .tsv, .jsonl or Parquet. label_studio, fiftyone, coco: the exports of labeling "
        "tools, which become lists. Null: detected.",
    )
    split: SplitName | None = Field(
        default=None,
        description="Reads only one split of a folder that holds several: the folder of this name (`train/cat/1.jpg`), "
        "or the files whose names begin so (`train-00000-of-00002.parquet`). `validation` finds `val`, too, and so on. "
        "Null: everything.",
    )
    class_level: int | None = Field(
        default=None,
        ge=-20,
        le=20,
        description="image_folder: the folder that names the class. 1: the first below the place; 2: the one in it; "
        "-1: the one that holds the image. Null: 1.",
    )
    base_uri: str | None = Field(
        default=None,
        min_length=1,
        max_length=8000,
        description="uri_list: where relative entries begin. Exports: the folder that holds the images. Null: the "
        "folder of the list or export.",
    )
    image_column: ColumnName | None = Field(
        default=None,
        description="Parquet and Arrow: a binary column of encoded images, or a struct column with a `bytes` field. "
        "uri_list: the column of URIs. Null: guessed by name (`image`, `bytes`; `uri`, `path`, ...), or the only "
        "suitable one.",
    )
    label_column: ColumnName | None = Field(
        default=None,
        description="Parquet, Arrow and uri_list: integers or strings; the class name is the value as text. Null: "
        "guessed by name (`label`, `class`, ...). Ignored for unlabeled datasets.",
    )
    key_column: ColumnName | None = Field(
        default=None,
        description="Parquet, Arrow and uri_list: integers or strings that name the images. Null: for tables, guessed "
        "by name (`key`, `id`, ...), or FILE:ROW without such a column; for a list, the URI as written.",
    )
    classes: tuple[ClassName, ...] | None = Field(
        default=None,
        max_length=100_000,
        description="Class names in index order. Null: the distinct labels, in numeric order if all are integers, "
        "else sorted. Set them if a dataset does not contain every class. Ignored for unlabeled datasets.",
    )
    part: DatasetPart | None = Field(
        default=None,
        description="Takes one part of the labeled images at the location, split by class. Images that are equal, byte "
        "for byte, stay together. Null: takes all of them.",
    )
    without: tuple[Reference, ...] = Field(
        default=(),
        max_length=20,
        description="Datasets whose images are left out here, byte for byte: for unlabeled images among which the "
        "labeled ones lie, too.",
    )
    reuse: bool = Field(
        default=False,
        description="Returns the project's dataset from the same location with the same role and the same content, if "
        "there is one, instead of registering another.",
    )

    @model_validator(mode="after")
    def _parts_are_of_labeled_images(self) -> Self:
        if self.part is not None and self.role == "unlabeled":
            raise field_error("part", "splits images by their labels, and the role is unlabeled")
        return self


class LookRequest(Frozen):
    """A place to look at, before anything of it is registered."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"uri": "/data/pets"}, {"uri": "s3://pictures/pets/"}]})

    uri: str = Field(
        min_length=1,
        max_length=8000,
        description="A folder or a file: a path on the service's machine, or an s3:// or gs:// URI.",
    )
    project: ProjectName = Field(
        default=DEFAULT_PROJECT,
        description="The project that would own the datasets. Default: the project of the caller's key.",
    )


class DatasetVersionRequest(Frozen):
    """More files of the same format, which a new version of a dataset adds to those that it has."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{}, {"uri": "s3://pictures/crawl-2026-07/"}, {"uri": "/data/web-pictures-2"}]}
    )

    uri: str | None = Field(
        default=None,
        min_length=1,
        max_length=8000,
        description="A folder, or one file, with the files to add. Null: what is new at the dataset's own place.",
    )
