"""Writes the whole bill: every stage of every generation, also for a given cluster, and the assumptions. No I/O."""

from collections.abc import Mapping, Sequence

from service.config.cluster_shape import shape_of
from service.config.run import EstimateSettings, RunConfig
from service.estimates.estimated_run import EFFICIENCY_OF_A_DOUBLING, DatasetSize, EstimatedRun, JobTimes
from service.estimates.stage_bills import stage_bill
from service.stages.order import stages_of
from service.views.estimates import Bill, Forecast, StageBill, Totals
from workers.specs.measure import Measurement
from workers.specs.selection import SelectionSettings


def write_bill(
    config: RunConfig,
    settings: EstimateSettings,
    sizes: Mapping[str, DatasetSize],
    measured: Measurement,
    job: JobTimes,
) -> Bill:
    """Returns the bill of a run. `sizes` holds the sizes of its datasets by their part in the run."""
    if settings.unlabeled_images is not None:
        sizes = {**sizes, "unlabeled": sizes["unlabeled"].grown_to(settings.unlabeled_images)}
    asked = (config.resources.train.gpus_per_worker, config.resources.label.gpus_per_actor)
    asks_for_gpus = (asked[0] != 0, asked[1] != 0)
    if settings.cluster is None:
        config = _as_measured(config, measured)
    shape = settings.cluster or shape_of(measured.cluster, config.resources.train, config.resources.label)
    run = EstimatedRun(config, sizes, measured, job, shape)
    whole = EstimatedRun(config, sizes, measured, job, shape, whole=True) if settings.cluster else None
    return Bill(
        as_configured=_forecast(run),
        whole_cluster=_forecast(whole) if whole else None,
        assumptions=_assumptions(run, settings, asks_for_gpus),
    )


def _as_measured(config: RunConfig, measured: Measurement) -> RunConfig:
    """Returns the run with the GPUs that the driver decided on the measured cluster, as the run's own drivers will."""
    train, label = config.resources.train, config.resources.label
    if measured.group.gpus_per_worker is not None:
        train = train.model_copy(update={"gpus_per_worker": measured.group.gpus_per_worker})
    if measured.pool.gpus_per_actor is not None:
        label = label.model_copy(update={"gpus_per_actor": measured.pool.gpus_per_actor})
    resources = config.resources.model_copy(update={"train": train, "label": label})
    return config.model_copy(update={"resources": resources})


def _forecast(run: EstimatedRun) -> Forecast:
    lines = [
        stage_bill(run, generation, stage)
        for generation, plan in enumerate(run.plans)
        for stage in stages_of(generation, plan)
    ]
    return _with_totals(run.shape.devices, lines)


def _assumptions(run: EstimatedRun, settings: EstimateSettings, asks_for_gpus: tuple[bool, bool]) -> list[str]:
    measured, shape = run.measured, run.shape
    seen = measured.cluster
    found = [
        f"Measured on {seen.nodes} node(s) with {seen.cpus:g} CPUs and {seen.gpus:g} GPUs: {measured.pool.actors} "
        f"actor(s) and {measured.group.workers} worker(s) at once, {settings.sample_seconds:g} s for each thing that "
        "is timed. The devices of the bill are as fast.",
        *_devices_measured(measured, asks_for_gpus),
        "Models were freshly initialised; weights do not change how long an image or a step takes.",
        "Stages follow one another, no other run competes for the cluster, and nothing fails"
        + (" but spot devices." if shape.spot else "."),
        "Every process starts as fast as the measured ones; nodes that an autoscaler has to start first come on top.",
        "Labeling and evaluation are linear in actors; a shard is not divided between two.",
        "A batch is as large as the recipe says, however many workers share it. "
        f"Each doubling of the {measured.group.workers} measured worker(s) leaves "
        f"{100 * EFFICIENCY_OF_A_DOUBLING:.0f} % of the speed a worker.",
        "Images of datasets of more shards than a loader process keeps in memory are read each time they are used, "
        "others once by each loader process.",
        "Device hours count the devices of a stage's actors or workers while the stage lasts, its start included.",
    ]
    if run.config.generations:
        found.append(
            "All pseudo-labeled images are selected, which sets the size of the selection, not the number of steps."
        )
        found += _assumptions_of_copies(run)
    if run.config.generations and run.config.labeling.views.count > 1:
        found.append(
            f"Labeling and calibration look at {run.config.labeling.views.count} views of each image (labeling.views), "
            "and their times include all of them."
        )
    if run.config.generations and run.config.labeling.further_teachers:
        found.append(
            f"Each image is labeled by {1 + len(run.config.labeling.further_teachers)} models "
            "(labeling.further_teachers): each actor loads all of them, and the times of labeling and calibration "
            "include all of them."
        )
    if any(_looks_twice(plan.selection) for plan in run.plans[1:]):
        found.append(
            "Thresholds by class and alignment are billed as one pass more over the label files, two for alignment, in "
            "proportion to what they read; selection was measured without them."
        )
    if run.config.generations and any(plan.selection.materialize for plan in run.plans):
        found.append("Materialising moves each image four times, each time for as long as it takes to read one.")
    if reused := {number: size for number in range(1, len(run.plans)) if (size := run.sizes.get(f"reused.{number}"))}:
        listed = ", ".join(f"{size.rows:,} of generation {number}" for number, size in reused.items())
        found.append(
            f"Labels that the same teacher has made before are taken over: {listed}. They are made anew where views, "
            "temperature, evaluation images or near_duplicate_distance are others than then."
        )
    if settings.unlabeled_images is not None:
        found.append(
            f"The unlabeled images are {settings.unlabeled_images:,}, in shards of "
            f"{run.sizes['unlabeled'].rows_a_shard:,.0f} as they are now; the sample was drawn from those that are "
            "registered."
        )
    if any(plan.search for plan in run.plans):
        found.append(
            "A search takes all the steps that its early stopping grants; the students trained after it cost what "
            "the run's own student does."
        )
    if run.config.gate is not None:
        found.append("The gate lets every student teach.")
    if shape.spot is not None:
        found.append(
            f"{100 * shape.spot.share:.0f} % of the devices are spot devices at {100 * shape.spot.price_share:.0f} % "
            f"of the price; each is taken away {shape.spot.interruptions_per_device_hour:g} times an hour, which costs "
            "an actor half a shard and its start, and a worker group half the way from its last checkpoint and its "
            "start."
        )
    return found


def _looks_twice(selection: SelectionSettings) -> bool:
    return selection.thresholds != "fixed" or selection.distribution_alignment != "none"


def _assumptions_of_copies(run: EstimatedRun) -> list[str]:
    """Returns what filling up small classes may add to a selection, for each limit of copies in the run's plans."""
    filled = [plan.selection for plan in run.plans[1:] if plan.selection.fill_up]
    limits = sorted({each.max_copies_per_image for each in filled if each.max_copies_per_image is not None})
    found = [
        f"Small classes are filled up by repeating an image at most {limit} times (max_copies_per_image), so a "
        f"selection may be up to {limit} times as large, and training shards with it. If the limit holds a class below "
        "the others, the event `classes_not_filled_up` says so."
        for limit in limits
    ]
    if any(each.max_copies_per_image is None for each in filled):
        found.append(
            "Small classes are filled up by repeating their images as often as it takes (max_copies_per_image is "
            "null): nothing limits the size of a selection but the number of classes times the largest one."
        )
    return found


def _devices_measured(measured: Measurement, asks_for_gpus: tuple[bool, bool]) -> list[str]:
    """Says on which devices training and labeling were measured, and why not on GPUs. Older measurements do not say."""
    found = []
    each = (measured.group.gpus_per_worker, measured.pool.gpus_per_actor)
    for what, gpus, asks in zip(("Training", "Labeling"), each, asks_for_gpus, strict=True):
        if gpus is None:
            continue
        if gpus:
            found.append(f"{what} was measured with {gpus:g} GPU(s) for each process.")
        elif asks:
            found.append(
                f"{what} was measured on CPUs: no node, and no group of nodes, has GPUs and the labels that the run "
                "asks for."
            )
        else:
            found.append(f"{what} was measured on CPUs, because the run asks for no GPUs.")
    seen = measured.cluster
    if seen.most_cpus is not None and seen.most_gpus is not None:
        found.append(
            f"Groups of nodes may grow to {seen.most_cpus:g} CPUs and {seen.most_gpus:g} GPUs, which the bill counts "
            "as there unless a cluster is given."
        )
    return found


def _with_totals(devices: int, stages: Sequence[StageBill]) -> Forecast:
    """Returns the forecast with the sums over its stages."""
    costs = [stage.cost for stage in stages if stage.cost is not None]
    return Forecast(
        devices=devices,
        stages=list(stages),
        totals=Totals(
            wall_seconds=sum(stage.wall_seconds for stage in stages),
            device_hours=sum(stage.device_hours for stage in stages),
            bytes_read=sum(stage.bytes_read for stage in stages),
            bytes_written=sum(stage.bytes_written for stage in stages),
            bytes_kept=sum(stage.bytes_kept for stage in stages),
            cost=sum(costs) if costs else None,
        ),
    )
