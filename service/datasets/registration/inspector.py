"""`python -m service.datasets.registration.inspector FD MEMORY_BYTES PARENT`: inspects one dataset after another.

Jobs arrive as lines of JSON over the socket FD, and answers go back the same way. The process ends with the process
PARENT or when the socket closes. It is the only part of the control plane that parses foreign bytes.
"""

import ctypes
import os
import resource
import signal
import socket
import sys
import threading

import pyarrow as pa

from service.artifacts.layout import ArtifactLayout
from service.datasets.inspection import InspectedDataset, inspect_dataset, inspect_version
from service.datasets.inspection.imported_labels import check_labels
from service.datasets.looks.look import look_at
from service.datasets.places.registered_files import write_registration
from service.datasets.registration.messages import (
    JOB,
    Answer,
    DatasetSummary,
    InspectionJob,
    Job,
    LabelsAnswer,
    LabelsJob,
    LookAnswer,
    LookJob,
    PictureJob,
    Refusal,
    StoreFailure,
    too_much_memory,
)
from service.datasets.registration.pictures import small_picture
from service.errors import InvalidRequest
from workers.artifact_io import write_bytes
from workers.data.dataset_roots import reading_within
from workers.data.hashes import read_hashes, write_hash_rows, write_hashes

_PR_SET_PDEATHSIG = 1
_STACK_BYTES = 1 << 20
"""The stack of each reading thread. Stacks count as memory, and forty of the usual 8 MiB would take a third of it."""
_ARROW_THREADS = 2
_NICENESS = 5
"""Other requests go first."""


def main(descriptor: int, memory_bytes: int, parent: int) -> None:
    """Answers jobs until the socket closes. `parent` is the process id of the parent."""
    _limit_this_process(memory_bytes, parent)
    with socket.socket(fileno=descriptor) as connection, connection.makefile("rb") as jobs:
        _silence()
        for line in jobs:
            answer = _answer(JOB.validate_json(line), memory_bytes)
            connection.sendall(answer.model_dump_json().encode() + b"\n")


def _answer(job: Job, memory_bytes: int) -> Answer:
    try:
        # Each file is checked again when it is opened, since it may have been replaced by then.
        with reading_within(job.roots.roots):
            if isinstance(job, LookJob):
                return LookAnswer(look=look_at(job.request, job.roots))
            if isinstance(job, PictureJob):
                return small_picture(job)
            if isinstance(job, LabelsJob):
                return LabelsAnswer(labels=check_labels(job.table))
            inspected = _inspected(job, ArtifactLayout(job.artifact_root))
    except InvalidRequest as error:
        return Refusal(field=error.field, message=error.message)
    except MemoryError:
        return Refusal(field="uri", message=too_much_memory(memory_bytes))
    except Exception as error:
        # Hostile or damaged bytes make parsers raise nearly anything, and their messages may quote a file.
        return Refusal(field="uri", message=f"cannot be inspected: reading it ended with {type(error).__name__}")
    try:
        _write(ArtifactLayout(job.artifact_root), inspected)
    except OSError as error:
        return StoreFailure(message=str(error))
    return _summary(inspected)


def _inspected(job: InspectionJob, layout: ArtifactLayout) -> InspectedDataset:
    if job.before is not None:
        return inspect_version(job.request, job.before, job.dataset_id, layout, roots=job.roots)
    held = [read_hashes(layout.hashes(each)) for each in job.held]
    return inspect_dataset(job.request, job.dataset_id, layout.list_parts(job.dataset_id), roots=job.roots, held=held)


def _write(layout: ArtifactLayout, inspected: InspectedDataset) -> None:
    manifest = inspected.manifest
    if inspected.content_hashes is not None:
        write_hashes(layout.hashes(manifest.dataset_id), inspected.content_hashes)
        write_hash_rows(layout.hash_rows(manifest.dataset_id), inspected.hashes_by_row or ())
    write_registration(layout.registered_files(manifest.dataset_id), inspected.registration)
    write_bytes(layout.manifest(manifest.dataset_id), manifest.model_dump_json().encode())


def _summary(inspected: InspectedDataset) -> DatasetSummary:
    manifest = inspected.manifest
    return DatasetSummary(
        dataset_id=manifest.dataset_id,
        role=manifest.role,
        format=manifest.format,
        classes=manifest.classes,
        rows=manifest.rows,
        shards=len(manifest.shards),
        class_counts=inspected.class_counts,
        sampled=inspected.sampled,
        sampled_bad=inspected.sampled_bad,
        picture_side=inspected.picture_side,
        hashed=inspected.content_hashes is not None,
        digest=inspected.digest.value,
        digest_of=inspected.digest.of,
        warnings=inspected.warnings,
    )


def _limit_this_process(memory_bytes: int, parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent ended before the call above could take effect
            sys.exit()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends this process
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Limits the memory that is written to. Arrow and the allocator reserve far more address space than they use.
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    threading.stack_size(_STACK_BYTES)
    pa.set_cpu_count(_ARROW_THREADS)


def _silence() -> None:
    """Discards all output from here on, so that no foreign bytes that a parser prints reach a terminal or a log."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
