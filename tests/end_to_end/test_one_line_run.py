"""One line on folders of pictures that nobody has registered makes a student, and says what it gained."""

import re
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from noisy_student.cli.main import app
from noisy_student.local.stack import LocalStack

_OWN = """
teacher_recipe: {image_size: 32, steps: 60, validate_every_steps: 30, checkpoint_every_steps: 30}
student_recipe: {image_size: 32, steps: 30, validate_every_steps: 30, checkpoint_every_steps: 30}
selection: {min_confidence: 0.2}
"""
"""As few steps as possible: the test is about the way, not about the gain."""
_FORMATS = ("png", "jpg", "bmp", "gif")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Some of scikit-learn's digits, of several sizes and formats: 25 of each of four classes, and 120 without."""
    pixels, labels = load_digits(n_class=4, return_X_y=True)
    counts = dict.fromkeys(range(4), 0)
    for number, (digit, label) in enumerate(zip(pixels.reshape(-1, 8, 8), labels.tolist(), strict=True)):
        counts[label] += 1
        folder = tmp_path / "labeled" / f"digit {label}" if counts[label] <= 25 else tmp_path / "pool"
        if number >= 220:
            break
        folder.mkdir(parents=True, exist_ok=True)
        side = 24 + 4 * (number % 5)
        picture = Image.fromarray((digit * 15.9).astype("uint8")).resize((side, side), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number}.{_FORMATS[number % len(_FORMATS)]}")
    (tmp_path / "labeled" / "about.txt").write_text("handwritten")
    (tmp_path / "own.yaml").write_text(_OWN)
    return tmp_path


def test_one_line_makes_a_student_and_says_what_it_gained(stack: LocalStack, folders: Path) -> None:
    line = ["run", "--labeled", str(folders / "labeled"), "--unlabeled", str(folders / "pool"), "--generations", "1"]
    done = CliRunner().invoke(
        app, [*line, "-f", str(folders / "own.yaml"), "--yes", "--follow", "--api", stack.api_url]
    )
    assert done.exit_code == 0, done.output
    assert "took 10 % of each class, at least one image: 8 images for validation and 8 images for test" in done.output
    assert "1 of .txt" in done.output
    assert re.search(r"on 8 test images:\n  teacher \d+\.\d % .*\n  student 1 \d+\.\d % ", done.output)
