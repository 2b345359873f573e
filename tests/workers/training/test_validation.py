"""Validation decodes beside the model, and looks for nothing but the accuracy."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.workers.training.conftest import TrainHere
from workers.models import clean_batches
from workers.specs.worker_group import WorkerGroup


def test_validation_computes_no_perceptual_hashes(train_here: TrainHere, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> None:
        raise AssertionError("validation needs no hash")

    monkeypatch.setattr(clean_batches, "thumbnail", refuse)
    seen: list[dict[str, float]] = []
    train_here(on_validation=lambda _, values: seen.append(values))
    assert len(seen) == 2


@pytest.mark.parametrize("cpus", [1.0, 3.0])
def test_validation_decodes_on_the_workers_cpus_and_finds_the_same(
    train_here: TrainHere, monkeypatch: pytest.MonkeyPatch, cpus: float
) -> None:
    pools: list[int] = []

    class Counted(ThreadPoolExecutor):
        def __init__(self, threads: int, *rest: Any) -> None:
            pools.append(threads)
            super().__init__(threads, *rest)

    alone: list[dict[str, float]] = []
    train_here("alone", on_validation=lambda _, values: alone.append(values))
    monkeypatch.setattr("workers.training.validation.ThreadPoolExecutor", Counted)
    beside: list[dict[str, float]] = []
    workers = WorkerGroup(cpus_per_worker=cpus)
    train_here("beside", on_validation=lambda _, values: beside.append(values), workers=workers)
    assert pools == ([] if cpus == 1 else [3, 3])
    assert [set(values) for values in beside] == [set(values) for values in alone]
    for found, expected in zip(beside, alone, strict=True):  # other threads add up in another order
        assert found["validation_top1"] == pytest.approx(expected["validation_top1"], abs=0.05)
