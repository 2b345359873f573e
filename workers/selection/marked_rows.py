"""Changes the rows of a shard as people's marks say."""

import numpy as np

from workers.data.marks import MarkedRows
from workers.selection.label_rows import NEVER, LabelRows


def with_marks(rows: LabelRows, marked: MarkedRows) -> LabelRows:
    """The rows with the classes that people gave, at full confidence, and without those whose label is marked as wrong.

    A row that must not be learned from for another reason stays out whatever people say of it.
    """
    labels, doubts, usable = rows.labels.copy(), rows.doubts.copy(), rows.usable
    given_rows, given = marked.given
    labels[given_rows] = given
    doubts[given_rows] = np.where(usable[given_rows], np.float32(0), doubts[given_rows])
    wrong = marked.left_out[usable[marked.left_out]]
    doubts[wrong] = NEVER
    return LabelRows(
        rows.shard, labels, doubts, rows.dropped_near_duplicates, rows.dropped_duplicates, marked_wrong=len(wrong)
    )
