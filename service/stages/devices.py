"""Computes how many devices an attempt is charged for: its GPUs, or its CPUs if it requests no GPU. No I/O."""

from service.config.run import GenerationPlan, Resources
from workers.specs.stages import ActorPool, StageName, WorkerGroup


def devices_of(stage: StageName, resources: Resources, plan: GenerationPlan) -> float:
    """Returns the devices charged while the attempt's job is submitted, whether it waits, starts or works.

    An actor pool counts as its `max_actors` if that is given, else as its `min_actors`, because the cluster decides how
    far it grows. A search or an ablation counts as its `max_parallel` concurrent trainings, or as one.

    A run that leaves GPUs to the cluster is charged the CPUs that it requests: only the driver knows what it got. With
    one CPU for each process, the default, that is one device either way.
    """
    match stage:
        case "train" | "measure":
            return resources.train.num_workers * _of_worker(resources.train)
        case "label" | "evaluate":
            return (resources.label.max_actors or resources.label.min_actors) * _of_actor(resources.label)
        case "select":
            return 1.0  # the driver alone
        case "search":
            workers = plan.search.workers_per_trial if plan.search is not None else 1
            parallel = plan.search.max_parallel if plan.search is not None else None
            return (parallel or 1) * workers * _of_worker(resources.train)
        case "ablate":
            parallel = plan.ablation.max_parallel if plan.ablation is not None else None
            return (parallel or 1) * _of_worker(resources.train)


def _of_worker(group: WorkerGroup) -> float:
    return group.gpus_per_worker or group.cpus_per_worker


def _of_actor(pool: ActorPool) -> float:
    return pool.gpus_per_actor or pool.cpus_per_actor
