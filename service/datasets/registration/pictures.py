"""What an inspector does to show a picture: it reads one image of a registered dataset and decodes it."""

import base64
from functools import lru_cache

from service.datasets.registration.messages import PictureAnswer, PictureJob
from workers.data.errors import BrokenImage
from workers.data.images.small_picture import small_jpeg
from workers.data.shards.shard_readers import load_manifest
from workers.data.shards.single_image import read_image

_manifest = lru_cache(maxsize=1)(load_manifest)
"""A page shows many pictures of one dataset, whose manifest may be large and never changes."""


def small_picture(job: PictureJob) -> PictureAnswer:
    """Returns the picture, or why there is none. Raises ShardReadError."""
    try:
        stored = read_image(_manifest(job.manifest_uri), job.shard, job.row)
        picture = small_jpeg(stored)
    except BrokenImage as error:
        return PictureAnswer(image=None, broken=error.reason)
    return PictureAnswer(image=base64.b64encode(stored if job.is_whole else picture).decode(), broken=None)
