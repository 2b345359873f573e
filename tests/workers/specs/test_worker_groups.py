"""What a worker group that says nothing of its loader processes gets."""

import pytest

from workers.specs.worker_group import WorkerGroup, loaders_of


@pytest.mark.parametrize(
    ("group", "loaders"),
    [
        (WorkerGroup(gpus_per_worker=1.0, cpus_per_worker=8.0), 8),
        (WorkerGroup(gpus_per_worker=0.5, cpus_per_worker=3.5), 3),
        (WorkerGroup(gpus_per_worker=1.0, cpus_per_worker=0.5), 1),
        (WorkerGroup(gpus_per_worker=0.0, cpus_per_worker=8.0), 0),
        (WorkerGroup(cpus_per_worker=8.0), 0),
        (WorkerGroup(cpus_per_worker=8.0, loader_processes=2), 2),
        (WorkerGroup(gpus_per_worker=1.0, cpus_per_worker=8.0, loader_processes=0), 0),
    ],
)
def test_loader_processes_follow_the_workers_cpus_beside_a_gpu(group: WorkerGroup, loaders: int) -> None:
    assert loaders_of(group) == loaders


def test_a_cluster_with_gpus_decides_for_workers_that_leave_it_open() -> None:
    assert loaders_of(WorkerGroup(cpus_per_worker=4.0), has_gpus=True) == 4
    assert loaders_of(WorkerGroup(cpus_per_worker=4.0, gpus_per_worker=0.0), has_gpus=True) == 0
