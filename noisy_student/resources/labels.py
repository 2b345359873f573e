"""Pseudo labels of a generation, and what people say about them."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from noisy_student.downloads import saved
from noisy_student.operations import Arguments, Body, Operation, Resource, operation, request_of, takes_steps
from noisy_student.pages import listing
from noisy_student.steps import Steps
from noisy_student.transport import Way
from service.views.labels.marks import MarkView
from service.views.labels.pages import PseudoLabelPage
from workers.specs.label_export import LabelSource
from workers.specs.review import MarkRequest, ReviewOrder

_LABELS = "/runs/{run_id}/generations/{generation}/labels"
_MARKS_EXPORT = Operation("GET", "/runs/{run_id}/marks/export", bytes)
_EXPORT = Operation("GET", f"{_LABELS}/export", bytes)


def _of(run_id: str, generation: int, shard: int, row: int) -> dict[str, str | int]:
    return {"run_id": run_id, "generation": generation, "shard": shard, "row": row}


class Labels(Resource[Way]):
    """A pseudo label is found by its run, its generation, and its shard and row in the pool."""

    @operation("GET", _LABELS, PseudoLabelPage)
    def list(
        self,
        run_id: str,
        generation: int,
        order: ReviewOrder = "uncertain",
        class_name: str | None = None,
        selected: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Arguments:
        """Returns a page of pseudo labels, those first that are most worth a look. Pass its `next_cursor` as `cursor`
        to get the next page."""
        query = {
            "order": order,
            "class": class_name,
            "selected": None if selected is None else str(selected).lower(),
            "limit": limit,
            "cursor": cursor,
        }
        return Arguments({"run_id": run_id, "generation": generation}, query)

    @operation("GET", f"{_LABELS}/{{shard}}/{{row}}/picture", bytes)
    def picture(self, run_id: str, generation: int, shard: int, row: int) -> Arguments:
        """Returns the image as a JPEG of at most 256 x 256 pixels."""
        return Arguments(_of(run_id, generation, shard, row))

    @operation("PUT", f"{_LABELS}/{{shard}}/{{row}}/mark", MarkView, body=MarkRequest)
    def mark(self, run_id: str, generation: int, shard: int, row: int, mark: Body) -> Arguments:
        """Says that the label is right or wrong, or which class the image is of: `{"verdict": "class", "class": ...}`.
        Later selections of the run follow it."""
        return Arguments(_of(run_id, generation, shard, row), body=mark)

    @operation("DELETE", f"{_LABELS}/{{shard}}/{{row}}/mark", type(None))
    def unmark(self, run_id: str, generation: int, shard: int, row: int) -> Arguments:
        """Takes back what was said of the image."""
        return Arguments(_of(run_id, generation, shard, row))

    @operation("GET", f"{_LABELS}/source", LabelSource)
    def source(self, run_id: str, generation: int) -> Arguments:
        """Returns where the generation's label files, selection and pool are."""
        return Arguments({"run_id": run_id, "generation": generation})

    @takes_steps(_EXPORT)
    def export(
        self,
        run_id: str,
        generation: int,
        file: str | Path,
        format: Literal["parquet", "csv"] | None = None,
        *,
        which: Literal["selected", "all"] = "selected",
        min_confidence: float = 0.0,
    ) -> Steps[Path]:
        """Downloads a generation's pseudo labels into `file` and returns its path: one row for each image. Without
        `format`, a name that ends in .csv means CSV, any other Parquet. The file appears when it is complete."""
        path = Path(file)
        chosen = format or ("csv" if path.suffix.lower() == ".csv" else "parquet")
        request = request_of(_EXPORT, Arguments({"run_id": run_id, "generation": generation}))
        query = {"format": chosen, "which": which, "min_confidence": str(min_confidence)}
        return saved(self._way.connection, replace(request, query=query), path)

    @listing("/runs/{run_id}/marks", MarkView)
    def marks(self, run_id: str, limit: int | None = None) -> Arguments:
        """Lists what was said of images of the run, newest first."""
        return Arguments({"run_id": run_id}, {"limit": limit})

    @takes_steps(_MARKS_EXPORT)
    def export_marks(
        self, run_id: str, file: str | Path, format: Literal["parquet", "csv"] | None = None
    ) -> Steps[Path]:
        """Downloads the images whose class people have given into `file`, to be registered as a labeled dataset, and
        returns its path. Without `format`, a name that ends in .csv means CSV, any other Parquet."""
        path = Path(file)
        chosen = format or ("csv" if path.suffix.lower() == ".csv" else "parquet")
        request = request_of(_MARKS_EXPORT, Arguments({"run_id": run_id}))
        return saved(self._way.connection, replace(request, query={"format": chosen}), path)

    @operation("DELETE", "/runs/{run_id}/marks/{content_hash}", type(None))
    def forget(self, run_id: str, content_hash: str) -> Arguments:
        """Takes back what was said of an image, also after its label files have been deleted."""
        return Arguments({"run_id": run_id, "content_hash": content_hash})
