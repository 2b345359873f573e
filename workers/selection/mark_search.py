"""The pass before all others: finds the images that people have marked in the pool, and notes where they are."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from workers.data.marks import MarkedRows, Marks, SelectionMarks, write_marked_rows
from workers.runtime.stage_reporter import StageReporter
from workers.selection.label_rows import read_hashes, read_label_rows
from workers.selection.passes import Passes
from workers.selection.selector import Rules
from workers.selection.shard_ranges import read_ahead
from workers.specs.base import Frozen
from workers.specs.review import MarksApplied
from workers.specs.stages import SelectSpec


class _Found(Frozen):
    """What was found in a range of shards."""

    shards: frozenset[int]
    """Those with marked rows."""
    hashes: frozenset[bytes]
    """The marked images that are there."""
    given: int
    changed: int
    wrong: int


def find_marked(spec: SelectSpec, passes: Passes, reporter: StageReporter) -> tuple[MarksApplied | None, Passes]:
    """Writes where the marked images of the run are in the pool, and returns the passes that follow the marks.

    Reads the content hash of every row, but only if there are marks. Raises StageError(BAD_DATA) for a damaged label
    file, and ShardReadError for a damaged file of marks.
    """
    if spec.marks_uri is None:
        return None, passes
    found: list[_Found] = []
    for part in passes.run(partial(_find, spec.marks_uri, spec.folder_uri)):
        found.append(part)
        reporter.still_alive()
        reporter.pause_if_asked()
    shards = frozenset().union(*(part.shards for part in found))
    marks = len(Marks.read(spec.marks_uri))
    applied = MarksApplied(
        marks=marks,
        given=sum(part.given for part in found),
        changed=sum(part.changed for part in found),
        wrong=sum(part.wrong for part in found),
        not_found=marks - len(frozenset().union(*(part.hashes for part in found))),
    )
    return applied, replace(passes, rules=replace(passes.rules, marks=SelectionMarks(spec.folder_uri, shards)))


def _find(marks_uri: str, folder_uri: str, rules: Rules, shards: Sequence[int]) -> _Found:
    marks = Marks.read(marks_uri)
    in_pool: set[bytes] = set()
    marked_shards: set[int] = set()
    given = changed = wrong = 0
    hashes_of_shards = read_ahead(partial(read_hashes, rules.labels_uri), shards, rules.is_remote)
    for shard, hashes in zip(shards, hashes_of_shards, strict=True):
        found = marks.found_in(hashes)
        if not found:
            continue
        in_pool |= {mark.content_hash for _, mark in found}
        teacher = read_label_rows(rules.labels_uri, shard, rules.classes)
        # A broken image has no label, and nothing can be learned from it.
        marked = MarkedRows.of([(row, mark) for row, mark in found if teacher.labels[row] >= 0], teacher.labels)
        if not len(marked.rows):
            continue
        write_marked_rows(folder_uri, shard, marked)
        marked_shards.add(shard)
        usable = rules.counted(teacher).usable
        rows, labels = marked.given
        given += int(np.count_nonzero(usable[rows]))
        changed += int(np.count_nonzero(usable[rows] & (teacher.labels[rows] != labels)))
        wrong += int(np.count_nonzero(usable[marked.left_out]))
    return _Found(shards=frozenset(marked_shards), hashes=frozenset(in_pool), given=given, changed=changed, wrong=wrong)
