"""/runs/{id}/generations/{n}/labels and /runs/{id}/marks: pseudo labels that are worth a look, and what people say."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Response
from fastapi.responses import StreamingResponse

from api.dependencies import Cursor, GenerationNumber, Labels, Limit, MarkExportsOf, Marks, Pictures, RunId
from api.examples.answers import answers, page_of
from api.examples.review import LABELS, MARK, MARK_REQUESTS, MARK_TABLE, SMALL_PICTURE
from api.registration_line import in_picture_thread
from api.schemas.json_body import strict_json
from api.schemas.problem import problem_responses
from service.exports.tables import TableFormat
from service.review.labels import ReviewFilter
from service.views.base import Page
from service.views.labels.marks import MarkView
from service.views.labels.pages import PseudoLabelPage
from workers.specs.review import MarkRequest, ReviewOrder

router = APIRouter(prefix="/runs/{run_id}", tags=["review"])
_LABELS = "/generations/{generation}/labels"
_LARGEST = 2**31 - 1
_PICTURE_HEADERS = {
    # The picture may be opened by itself: nothing in it is to be run.
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    # The images of a dataset never change. Whose browser it was may lose its access, so that no proxy may keep them.
    "Cache-Control": "private, max-age=86400, immutable",
}
Shard = Annotated[int, Path(ge=0, le=_LARGEST, description="The shard of the pool.", examples=[12])]
Row = Annotated[int, Path(ge=0, le=_LARGEST, description="The row of the shard.", examples=[340])]


@router.get(
    _LABELS,
    summary="List pseudo labels that are worth a look",
    responses=answers(200, LABELS, "One page") | problem_responses(404, 409, 422),
)
def list_labels(
    run_id: RunId,
    generation: GenerationNumber,
    labels: Labels,
    order: Annotated[
        ReviewOrder,
        Query(
            description="uncertain: the least confident first. changed: labels that differ from the previous "
            "generation's. disagrees: labels that the generation's own student later contradicts. The last two are "
            "ordered by the confidence of the newer label."
        ),
    ] = "uncertain",
    class_name: Annotated[
        str | None, Query(alias="class", min_length=1, max_length=1000, description="Only labels of this class.")
    ] = None,
    selected: Annotated[
        bool | None, Query(description="true: only images that the student trains on; false: only the others.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Items per page.")] = 24,
    cursor: Cursor = None,
) -> PseudoLabelPage:
    """Lists images of the pool with their label, its confidence, the previous label and the student's later opinion.
    The selection lists the best of each class and order; without such a list, a sample is looked at, and `made_from`
    says so."""
    return labels.page(run_id, generation, ReviewFilter(order, class_name, selected), limit, cursor)


@router.get(
    f"{_LABELS}/{{shard}}/{{row}}/picture",
    summary="Show the image of a pseudo label",
    response_class=Response,
    responses=SMALL_PICTURE | problem_responses(404, 409, 422),
)
async def get_picture(
    run_id: RunId, generation: GenerationNumber, shard: Shard, row: Row, pictures: Pictures
) -> Response:
    """Returns the image as a JPEG of at most 256 x 256 pixels. It is decoded in a process of its own and encoded again:
    nothing of the original file but its pixels is sent."""
    picture = await in_picture_thread(pictures.picture, run_id, generation, shard, row)
    return Response(picture, media_type="image/jpeg", headers=_PICTURE_HEADERS)


@router.put(
    f"{_LABELS}/{{shard}}/{{row}}/mark",
    summary="Mark a pseudo label",
    responses=answers(200, MARK, "Marked") | problem_responses(400, 404, 409, 415, 422),
)
def put_mark(
    run_id: RunId,
    generation: GenerationNumber,
    shard: Shard,
    row: Row,
    request: Annotated[MarkRequest, strict_json(MarkRequest), Body(openapi_examples=MARK_REQUESTS)],
    marks: Marks,
) -> MarkView:
    """Says that the label is right or wrong, or which class the image is of. Selections that are submitted from now on
    follow it, for each copy of the image in the pool. Repeating the call is no error."""
    return marks.put(run_id, generation, shard, row, request)


@router.delete(
    f"{_LABELS}/{{shard}}/{{row}}/mark",
    status_code=204,
    summary="Take a mark back",
    responses={204: {"description": "There is no mark"}, **problem_responses(404, 409, 422)},
)
def delete_mark(run_id: RunId, generation: GenerationNumber, shard: Shard, row: Row, marks: Marks) -> None:
    """Forgets what was said of the image. Repeating the call is no error."""
    marks.delete(run_id, generation, shard, row)


@router.get(
    "/marks",
    summary="List a run's marks",
    responses=answers(200, page_of(MARK), "One page") | problem_responses(404, 422),
)
def list_marks(run_id: RunId, marks: Marks, limit: Limit = 50, cursor: Cursor = None) -> Page[MarkView]:
    """Lists what was said of images of this run, by whom and when, newest first."""
    return marks.list(run_id, limit, cursor)


@router.get(
    "/marks/export",
    summary="Export marked images as labeled data",
    response_class=Response,
    responses=MARK_TABLE | problem_responses(404, 409, 422),
)
def export_marks(
    run_id: RunId,
    exports: MarkExportsOf,
    kind: Annotated[
        TableFormat,
        Query(
            alias="format",
            description="csv: the location of each image, for pools whose images are files of their own. parquet: the "
            "images themselves, for every pool.",
        ),
    ] = "parquet",
) -> StreamingResponse:
    """Returns the images whose class people have given, `right` or `class`, with that class: a file to register as a
    labeled dataset. It is written while it is sent. An image that can no longer be read is left out."""
    table = exports.table(run_id, kind)
    headers = {"Content-Disposition": f'attachment; filename="{table.name}"'}
    return StreamingResponse(table.blocks, media_type=table.media_type, headers=headers)


@router.delete(
    "/marks/{content_hash}",
    status_code=204,
    summary="Take a mark back by its image",
    responses={204: {"description": "There is no mark"}, **problem_responses(404, 422)},
)
def delete_mark_of_image(
    run_id: RunId,
    content_hash: Annotated[
        str,
        Path(
            pattern="^[0-9a-f]{32}$",
            max_length=32,
            description="The image's content hash.",
            examples=["7d1f6c0be2a94e4fb1c92a36d2b0c58e"],
        ),
    ],
    marks: Marks,
) -> None:
    """Forgets what was said of the image, also after retention has deleted the label files."""
    marks.delete_by_hash(run_id, content_hash)
