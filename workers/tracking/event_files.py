"""Writes TensorBoard's event files into the artifact root, by the tensorboard package alone.

https://www.tensorflow.org/tensorboard: a file is a row of records, each a length, a protocol buffer and checksums.
"""

import io
import socket
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from workers.artifact_io import is_local, join_uri, open_filesystem, write_bytes
from workers.specs.results import Confusion
from workers.specs.tracking import TENSORBOARD_FOLDER
from workers.tracking.endings import Ending
from workers.tracking.subjects import Parameter, Subject
from workers.tracking.timeline import Point

_VERSION = "brain.Event:2"
_MAX_DRAWN_CLASSES = 200
_CELL_PIXELS = 4


class EventFiles:
    """A folder with an event file; a search's has one for each trial. `clock` returns Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def open(self, subject: Subject) -> "EventFile":
        """The file of a stage or a trial. It appears with the first figures."""
        below = [] if subject.trial is None else [f"{subject.trial:04d}"]
        folder_uri = join_uri(subject.spec.folder_uri, TENSORBOARD_FOLDER, *below)
        hparams = {} if subject.trial is None else subject.parameters
        return EventFile(folder_uri, subject.spec.attempt, hparams, self._clock)


class EventFile:
    """One file with all figures of a stage, also those of earlier attempts.

    It begins with the event by which a program that starts again tells readers to forget what earlier files in the
    folder say. So they see each step once, and what a killed driver left incomplete does no harm. Earlier files stay:
    a reader that has one open would not go on to the next if it were gone.
    """

    def __init__(
        self, folder_uri: str, attempt: int, hparams: Mapping[str, Parameter], clock: Callable[[], float]
    ) -> None:
        self._folder_uri = folder_uri
        self._attempt = attempt
        self._hparams = hparams
        self._clock = clock
        self._begun = 0
        self._name = ""
        self._data = b""
        self._written: list[Point] = []

    def write(self, points: Sequence[Point]) -> None:
        """Adds the points that are new. If earlier ones have changed, a new file takes the place of this one."""
        known = len(self._written)
        if list(points[:known]) != self._written:
            self._name, known = "", 0
        if len(points) > known:
            self._add([_scalars(point.step, point.at, point.values) for point in points[known:]])
            self._written = list(points)

    def end(self, ending: Ending) -> None:
        """Adds the figures of the result."""
        events = []
        if ending.values:
            events.append(_scalars(ending.step, self._clock(), ending.values))
        if ending.confusion is not None and ending.confusion.classes <= _MAX_DRAWN_CLASSES:
            events.append(_picture("confusion", ending.step, self._clock(), ending.confusion))
        if events:
            self._add(events)

    def _add(self, events: Sequence[Event]) -> None:
        if self._name:
            self._append(_records(events))
            return
        now = self._clock()
        self._name, self._data = (
            f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{self._attempt}.{self._begun}",
            b"",
        )
        self._begun += 1
        forget = SessionLog(status=SessionLog.START)
        beginning = [Event(wall_time=now, file_version=_VERSION), Event(wall_time=now, step=0, session_log=forget)]
        if self._hparams:
            beginning.append(Event(wall_time=now, summary=hparams_pb(dict(self._hparams), start_time_secs=now)))
        self._append(_records([*beginning, *events]))

    def _append(self, records: bytes) -> None:
        """Adds to the file. One in an object store is written again as a whole, which takes it some 100 KB."""
        uri = join_uri(self._folder_uri, self._name)
        if self._data and is_local(uri):
            # The reader of a file that grows keeps it open, and would never see one that is renamed to its place.
            with open(open_filesystem(uri)[1], "ab") as file:
                file.write(records)
        else:
            write_bytes(uri, self._data + records)
        self._data += records


def _records(events: Sequence[Event]) -> bytes:
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def _scalars(step: int, at: float, values: Mapping[str, float]) -> Event:
    scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
    return Event(wall_time=at, step=step, summary=Summary(value=scalars))


def _picture(tag: str, step: int, at: float, confusion: Confusion) -> Event:
    """The matrix as a PNG: a row for each true class, a column for each predicted one, darker for a larger share."""
    counts = np.array(confusion.matrix(), dtype=np.float64)
    shares = counts / np.maximum(1.0, counts.sum(axis=1, keepdims=True))
    cells = np.kron(255 - np.round(255 * shares), np.ones((_CELL_PIXELS, _CELL_PIXELS))).astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(cells).save(png, "PNG")
    height, width = cells.shape
    image = Summary.Image(height=height, width=width, colorspace=1, encoded_image_string=png.getvalue())
    return Event(wall_time=at, step=step, summary=Summary(value=[Summary.Value(tag=tag, image=image)]))
