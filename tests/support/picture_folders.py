"""Folders of pictures as people have them: crops of scikit-learn's photographs of many sizes, in several formats."""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

CORNERS = {"roof": (0, 150, 100), "sky": (0, 0, 0), "petal": (1, 150, 250), "leaf": (1, 0, 0)}
"""Where each class is cropped: the photograph, and the rows and columns at which its crops begin."""
_FORMATS = ("png", "jpg", "webp", "bmp")
_SIDES = (40, 56, 72, 90)


def write_pictures(folder: Path, counts: dict[str, int], first: int = 0) -> Path:
    """Writes so many pictures of each class into a folder for each, and a text that is no picture beside them.

    All differ from each other, and from those with another `first`.
    """
    photographs = load_sample_images().images
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(first, first + count):
            photograph, top, left = CORNERS[name]
            side = _SIDES[number % len(_SIDES)]
            row, column = top + number % 11, left + number // 11
            crop = np.ascontiguousarray(photographs[photograph][row : row + side, column : column + side + 9])
            Image.fromarray(crop).save(folder / name / f"{name} {number}.{_FORMATS[number % len(_FORMATS)]}")
    (folder / "read me.txt").write_text("taken in 1998")
    return folder


def write_flat(folder: Path, counts: dict[str, int], first: int = 0) -> Path:
    """Writes such pictures without folders for their classes."""
    write_pictures(folder.with_name(f"{folder.name}.classes"), counts, first)
    folder.mkdir(parents=True)
    for file in sorted(folder.with_name(f"{folder.name}.classes").glob("*/*")):
        file.rename(folder / file.name)
    return folder
