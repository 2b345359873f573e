"""Datasets and models: what goes into runs, what comes out, and what is kept of it."""

from noisy_student.operations import Arguments, Body, Resource, operation
from noisy_student.pages import listing
from noisy_student.transport import Way
from service.config.datasets import DatasetRequest
from service.views.datasets import DatasetView
from service.views.lineage import ModelLineage
from service.views.retention import Marked, PreviewedArtifact
from service.views.runs import ModelView


class Datasets(Resource[Way]):
    """Registered sets of images."""

    @operation("POST", "/datasets", DatasetView, DatasetRequest, once=True)
    def create(self, request: Body, *, idempotency_key: str | None = None) -> Arguments:
        """Registers a dataset. Nothing is copied: the files must stay as they are."""
        return Arguments(body=request, idempotency_key=idempotency_key)

    @listing("/datasets", DatasetView)
    def list(self, limit: int | None = None) -> Arguments:
        """All datasets, the newest first."""
        return Arguments(query={"limit": limit})

    @operation("GET", "/datasets/{dataset_id}", DatasetView)
    def get(self, dataset_id: str) -> Arguments:
        """One dataset: its classes, its size and what registration found."""
        return Arguments({"dataset_id": dataset_id})


class Models(Resource[Way]):
    """Trained models."""

    @listing("/models", ModelView)
    def list(self, limit: int | None = None, *, run_id: str | None = None) -> Arguments:
        """Models with their accuracies, the newest first; of one run where `run_id` is given."""
        return Arguments(query={"limit": limit, "run_id": run_id})

    @operation("GET", "/models/{model_id}", ModelView)
    def get(self, model_id: str) -> Arguments:
        """Where its weights lie, and its accuracy on the validation and the test set."""
        return Arguments({"model_id": model_id})

    @operation("GET", "/models/{model_id}/lineage", ModelLineage)
    def lineage(self, model_id: str) -> Arguments:
        """Where it comes from, down to generation 0; `run_config` trains it once more."""
        return Arguments({"model_id": model_id})

    @operation("PUT", "/models/{model_id}/keep", ModelView)
    def keep(self, model_id: str) -> Arguments:
        """Has retention spare it and all that it came from."""
        return Arguments({"model_id": model_id})

    @operation("DELETE", "/models/{model_id}/keep", ModelView)
    def release(self, model_id: str) -> Arguments:
        """Keeps it no longer. The model itself is never collected."""
        return Arguments({"model_id": model_id})


class Retention(Resource[Way]):
    """What goes of artifacts that have served."""

    @listing("/retention/plan", PreviewedArtifact)
    def plan(self, *, run_id: str | None = None) -> Arguments:
        """For each artifact whether it goes or stays, and why; run by run, the newest first. Nothing is changed."""
        return Arguments(query={"run_id": run_id})

    @operation("POST", "/retention/apply", Marked)
    def apply(self, *, run_id: str | None = None) -> Arguments:
        """Has collected now what the plan says goes."""
        return Arguments(query={"run_id": run_id})
