"""Finds the weights of a spec, fits them to its model, and writes what was taken and the report of it."""

from workers.artifact_io import join_uri, write_bytes
from workers.initialization.driver import followed
from workers.initialization.fitting import fitted
from workers.initialization.sources import open_source
from workers.initialization.tensors import write_tensors
from workers.specs.initialization import REPORT_FILE, InitialWeights, InitialWeightsReport
from workers.specs.stages import TrainSpec


def make_ready(spec: TrainSpec, uri: str) -> InitialWeightsReport:
    """Writes the tensors that the model of `spec` takes, then the report. Raises StageError like `prepared`."""
    init = spec.recipe.init
    assert init.kind != "random"
    source = open_source(spec)
    recipe = followed(spec.recipe, source.configuration, source.name)
    found = fitted(source, spec.model, spec.classes, recipe.image_size)
    report = InitialWeightsReport(
        weights=InitialWeights(
            kind=init.kind,
            source=source.name,
            digest=source.digest,
            tensors_taken=len(found.taken),
            tensors_left=len(found.left),
            tensors_new=len(found.new),
        ),
        configuration=source.configuration,
        followed=init.follow or (),
        taken=tuple(found.taken),
        left=found.left,
        new=found.new,
    )
    write_tensors(uri, found.taken)
    write_bytes(join_uri(uri, REPORT_FILE), report.model_dump_json(indent=2).encode())
    return report
