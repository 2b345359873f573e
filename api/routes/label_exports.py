"""/runs/{id}/generations/{n}/labels/source and /export: taking pseudo labels away."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from api.dependencies import GenerationNumber, LabelExportsOf, RunId
from api.examples.answers import answers
from api.examples.label_exports import LABEL_SOURCE
from api.schemas.problem import Answers, problem_responses
from service.exports.tables import MEDIA_TYPES
from workers.specs.label_export import LabelFileFormat, LabelFilter, LabelSource, WhichLabels

router = APIRouter(prefix="/runs/{run_id}/generations/{generation}/labels", tags=["generations"])
_BINARY = {"schema": {"type": "string", "format": "binary"}, "example": "the bytes of the file"}
_FILE: Answers = {
    200: {
        "description": "The table",
        "content": {kind.partition(";")[0]: _BINARY for kind in MEDIA_TYPES.values()},
    }
}


@router.get(
    "/source",
    summary="Locate pseudo labels",
    responses=answers(200, LABEL_SOURCE, "The places") | problem_responses(404, 409, 422),
)
def locate_labels(run_id: RunId, generation: GenerationNumber, exports: LabelExportsOf) -> LabelSource:
    """Returns where the generation's label files, selection and pool are, and what decided which labels are selected.
    Exports with pictures read these places themselves."""
    return exports.source(run_id, generation)


@router.get(
    "/export",
    summary="Export pseudo labels",
    response_class=Response,
    responses=_FILE | problem_responses(404, 409, 422),
)
def export_labels(
    run_id: RunId,
    generation: GenerationNumber,
    exports: LabelExportsOf,
    kind: Annotated[LabelFileFormat, Query(alias="format", description="The format of the table.")] = "parquet",
    which: Annotated[
        WhichLabels,
        Query(description="selected: the images that the student learns from. all: also the others, with the reason."),
    ] = "selected",
    min_confidence: Annotated[float, Query(ge=0, le=1, description="Only labels of at least this confidence.")] = 0.0,
) -> StreamingResponse:
    """Returns one row for each image of the pool: its key, label, confidence and most probable classes, how often it is
    selected or why it is not, and run, generation and teachers. The table is written while it is sent."""
    wanted = LabelFilter(which=which, min_confidence=min_confidence)
    table = exports.table(run_id, generation, kind, wanted)
    headers = {"Content-Disposition": f'attachment; filename="{table.name}"'}
    return StreamingResponse(table.blocks, media_type=table.media_type, headers=headers)
