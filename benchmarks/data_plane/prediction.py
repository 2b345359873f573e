"""The speed of the predict stage, compared with the label stage on the same pool.

The two take turns on two cores, each in a new Python process with a Ray of its own, over the labeling benchmark's
photographs with its light model, where everything but the model counts most. Both rates are steady ones: while all
actors are at work.
"""

from benchmarks.data_plane.labeling import prepare, run
from benchmarks.results import row, save
from benchmarks.support.two_cores import hold_to_two_cores

ROUNDS = 3
COMMAND = "make benchmark-predict"


def main() -> None:
    """Measures all rounds."""
    hold_to_two_cores()
    prepare("light")
    rounds = [{name: run(name, "light")["rate"] for name in ("ours", "predict")} for _ in range(ROUNDS)]
    ratios = [each["predict"] / each["ours"] for each in rounds]
    save([row("predict.of_labeling_speed", ratios, "ratio of images/s; goal: 1", "the label stage", COMMAND)])


if __name__ == "__main__":
    main()
