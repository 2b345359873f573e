"""Predictions: what a trained model says about a dataset.

Their ids are also run ids, so `runs.wait`, `pause`, `cancel` and the like work with them.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from noisy_student.downloads import saved
from noisy_student.filters import Since, State, conditions
from noisy_student.operations import Arguments, Body, Operation, Resource, operation, request_of, takes_steps
from noisy_student.pages import listing
from noisy_student.steps import Steps
from noisy_student.transport import Way
from service.config.predictions import PredictionRequest
from service.views.studies import PredictionSummary, PredictionView

_DOWNLOAD = Operation("GET", "/predictions/{prediction_id}/download", bytes)


class Predictions(Resource[Way]):
    """Predictions for whole datasets."""

    @operation("POST", "/predictions", PredictionView, PredictionRequest, once=True)
    def create(self, request: Body, *, idempotency_key: str | None = None) -> Arguments:
        """Starts a prediction; {"model": MODEL, "dataset": DATASET} is enough."""
        return Arguments(body=request, idempotency_key=idempotency_key)

    @listing("/predictions", PredictionSummary)
    def list(
        self,
        limit: int | None = None,
        *,
        state: State = None,
        project: str | None = None,
        since: Since = None,
    ) -> Arguments:
        """Lists predictions, newest first, filtered as runs are."""
        return Arguments(query={"limit": limit, **conditions(project, since, state)})

    @operation("GET", "/predictions/{prediction_id}", PredictionView)
    def get(self, prediction_id: str) -> Arguments:
        """Returns one prediction: its progress, and once it has succeeded how sure and how right the model was."""
        return Arguments({"prediction_id": prediction_id})

    @takes_steps(_DOWNLOAD)
    def download(
        self, prediction_id: str, file: str | Path, format: Literal["zip", "parquet", "csv"] | None = None
    ) -> Steps[Path]:
        """Downloads a finished prediction into `file` and returns its path: one table as Parquet or CSV, or a zip of
        its Parquet files. Without `format`, the name of the file decides; other names than .csv and .zip mean Parquet.
        The file appears when it is complete."""
        path = Path(file)
        suffix = path.suffix.lower().removeprefix(".")
        chosen = format or (suffix if suffix in ("zip", "csv") else "parquet")
        request = request_of(_DOWNLOAD, Arguments({"prediction_id": prediction_id}))
        return saved(self._way.connection, replace(request, query={"format": chosen}), path)
