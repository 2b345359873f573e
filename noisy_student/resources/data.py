"""Datasets, presets, models and retention: what goes into runs, what comes out, and what is kept."""

from pathlib import Path

from noisy_student.downloads import unpacked
from noisy_student.filters import Since, conditions
from noisy_student.operations import Arguments, Body, Operation, Resource, operation, request_of, takes_steps
from noisy_student.pages import listing
from noisy_student.steps import Steps
from noisy_student.transport import Way
from service.config.datasets import DatasetRequest, DatasetVersionRequest, LookRequest
from service.config.models import RegistrationRequest
from service.views.datasets import DatasetView
from service.views.lineage import ModelLineage, RegistrationSummary, RegistrationView
from service.views.looks import DatasetLook
from service.views.presets import Presets
from service.views.retention import Marked, PreviewedArtifact
from service.views.runs import ModelView

_DOWNLOAD = Operation("GET", "/models/{model_id}/download", bytes)


class Datasets(Resource[Way]):
    """Registered datasets."""

    @operation("POST", "/datasets", DatasetView, DatasetRequest, once=True)
    def create(self, request: Body, *, idempotency_key: str | None = None) -> Arguments:
        """Registers a dataset. Nothing is copied, so the files must stay unchanged."""
        return Arguments(body=request, idempotency_key=idempotency_key)

    @operation("POST", "/datasets/look", DatasetLook, LookRequest)
    def look(self, request: Body) -> Arguments:
        """Returns what a place is taken for, with the requests that would register its parts. Records nothing."""
        return Arguments(body=request)

    @listing("/datasets", DatasetView)
    def list(self, limit: int | None = None, *, project: str | None = None, since: Since = None) -> Arguments:
        """Lists datasets, newest first: all, or those of a project, or registered since then."""
        return Arguments(query={"limit": limit, **conditions(project, since)})

    @operation("GET", "/datasets/{dataset_id}", DatasetView)
    def get(self, dataset_id: str) -> Arguments:
        """Returns one dataset: its classes, its size and what registration found."""
        return Arguments({"dataset_id": dataset_id})

    @operation("POST", "/datasets/{dataset_id}/versions", DatasetView, DatasetVersionRequest, once=True)
    def add_version(
        self, dataset_id: str, request: Body | None = None, *, idempotency_key: str | None = None
    ) -> Arguments:
        """Registers a new version of a dataset: its shards, followed by those of new files. The request names their
        place (`uri`); without one, what is new at the dataset's own place is added."""
        return Arguments({"dataset_id": dataset_id}, body=request or {}, idempotency_key=idempotency_key)

    @listing("/datasets/{dataset_id}/versions", DatasetView)
    def versions(self, dataset_id: str, limit: int | None = None) -> Arguments:
        """Lists all versions of a dataset, newest first."""
        return Arguments({"dataset_id": dataset_id}, query={"limit": limit})


class PresetList(Resource[Way]):
    """Recipes by name."""

    @operation("GET", "/presets", Presets)
    def list(
        self,
        labeled_images: int | None = None,
        *,
        picture_side: int | None = None,
        classes: int | None = None,
        name: str | None = None,
        unlabeled_images: int | None = None,
    ) -> Arguments:
        """Returns the recipes that a run may name as its `preset`, for a labeled set of that size.

        With `picture_side`, the usual shorter side of the pictures in pixels, it also suggests one for the cluster, or
        changes to the one of that `name`."""
        asked = {"labeled_images": labeled_images, "picture_side": picture_side, "classes": classes, "name": name}
        return Arguments(query={**asked, "unlabeled_images": unlabeled_images})


class Models(Resource[Way]):
    """Trained models."""

    @operation("POST", "/models", RegistrationView, RegistrationRequest, once=True)
    def register(self, request: Body, *, idempotency_key: str | None = None) -> Arguments:
        """Starts the check of a timm model that was trained elsewhere; `runs.wait` with the answer's id waits for it.
        Once it has succeeded, the answer of `registration` has the model."""
        return Arguments(body=request, idempotency_key=idempotency_key)

    @operation("GET", "/registrations/{registration_id}", RegistrationView)
    def registration(self, registration_id: str) -> Arguments:
        """Returns one registration: its state, what the check found, and the model."""
        return Arguments({"registration_id": registration_id})

    @listing("/registrations", RegistrationSummary)
    def registrations(self, limit: int | None = None) -> Arguments:
        """Lists all registrations of models, newest first."""
        return Arguments(query={"limit": limit})

    @listing("/models", ModelView)
    def list(
        self,
        limit: int | None = None,
        *,
        run_id: str | None = None,
        project: str | None = None,
        since: Since = None,
    ) -> Arguments:
        """Lists models with their accuracies, newest first: all, or those of a run, of a project, or since then."""
        return Arguments(query={"limit": limit, "run_id": run_id, **conditions(project, since)})

    @operation("GET", "/models/{model_id}", ModelView)
    def get(self, model_id: str) -> Arguments:
        """Returns one model: where its weights are, and its accuracy on the validation and test sets."""
        return Arguments({"model_id": model_id})

    @operation("GET", "/models/{model_id}/lineage", ModelLineage)
    def lineage(self, model_id: str) -> Arguments:
        """Returns a model's origin, down to generation 0. A run with its `run_config` trains the model again;
        an imported model has none."""
        return Arguments({"model_id": model_id})

    @takes_steps(_DOWNLOAD)
    def pull(self, model_id: str, folder: str | Path | None = None) -> Steps[Path]:
        """Downloads a model into a new folder, by default one with the model's id, and returns its path. timm loads it:
        `timm.create_model("local-dir:FOLDER", pretrained=True)`. The folder appears when it is complete. Raises
        ApiError if it exists already."""
        request = request_of(_DOWNLOAD, Arguments({"model_id": model_id}))
        return unpacked(self._way.connection, request, Path(folder or Path(model_id).name))

    @operation("PUT", "/models/{model_id}/keep", ModelView)
    def keep(self, model_id: str) -> Arguments:
        """Exempts a model, its teachers in the same run, and all that they came from, from retention."""
        return Arguments({"model_id": model_id})

    @operation("DELETE", "/models/{model_id}/keep", ModelView)
    def release(self, model_id: str) -> Arguments:
        """Ends the exemption of a model. Retention never deletes the model itself."""
        return Arguments({"model_id": model_id})


class Retention(Resource[Way]):
    """Retention, which deletes artifacts that are no longer needed."""

    @listing("/retention/plan", PreviewedArtifact)
    def plan(self, *, run_id: str | None = None) -> Arguments:
        """Lists each artifact, whether it would be deleted, and why; run by run, newest first. Changes nothing."""
        return Arguments(query={"run_id": run_id})

    @operation("POST", "/retention/apply", Marked)
    def apply(self, *, run_id: str | None = None) -> Arguments:
        """Starts the deletion of everything that the preview lists for deletion."""
        return Arguments(query={"run_id": run_id})
