"""The command on predictions: start one."""

import time
from collections.abc import Callable

from sqlalchemy.orm import Session

from service.access.own_project import in_own_project
from service.artifacts.layout import ArtifactLayout
from service.config.events import EventKind
from service.config.names import MAX_NAME_LENGTH
from service.config.policies import FaultTolerance
from service.config.predictions import PredictionRequest, PredictionSettings
from service.config.run import GenerationPlan, Resources, RunConfig, RunDatasets
from service.errors import InvalidRequest
from service.lifecycle.states import RunKind
from service.predictions.view_builder import prediction_view
from service.stages.generation_plans import generation_plans
from service.store.database import Database
from service.store.idempotency import OnceAnswers, request_hash
from service.store.run_store import add_event, insert_run_of_one_stage, new_id
from service.store.schema.tables import DatasetRow, ModelRow
from service.views.studies import PredictionView


class PredictionCommands:
    """Creates predictions. Thread-safe. A prediction is a run of one stage; its id works wherever a run's id does."""

    def __init__(self, database: Database, layout: ArtifactLayout, clock: Callable[[], float] = time.time) -> None:
        self._layout = layout
        self._answers = OnceAnswers(database, clock)

    def create(self, request: PredictionRequest, idempotency_key: str | None = None) -> PredictionView:
        """Starts a prediction. Raises InvalidRequest for a model or a dataset that the caller cannot see, or for a
        dataset without images; nothing has changed then."""
        request = in_own_project(request)
        asked = request_hash("create_prediction", request)

        def create(session: Session, now: float) -> PredictionView:
            model, dataset = session.get(ModelRow, request.model), session.get(DatasetRow, request.dataset)
            if model is None:
                raise InvalidRequest("model", f"there is no model {request.model!r}")
            if dataset is None:
                raise InvalidRequest("dataset", f"there is no dataset {request.dataset!r}")
            if dataset.rows == 0:
                raise InvalidRequest("dataset", f"{dataset.name!r} ({dataset.id}) has no images")
            config = _config(request, model, dataset)
            prediction_id = new_id("prediction")
            insert_run_of_one_stage(
                session, prediction_id, RunKind.PREDICTION, None, config, 0, _plan(request, config), now
            )
            add_event(session, prediction_id, now, EventKind.PREDICTION_CREATED, f"{model.id} on {dataset.id}")
            session.flush()
            return prediction_view(session, self._layout, prediction_id)

        return self._answers.once(idempotency_key, asked, PredictionView, create)


def _config(request: PredictionRequest, model: ModelRow, dataset: DatasetRow) -> RunConfig:
    """The prediction as the run that it is. Nothing of the model's own run goes into it, whose datasets another project
    may own: the stage may read the predicted dataset alone."""
    name = request.name or f"{model.id} on {dataset.name}"[:MAX_NAME_LENGTH].rstrip()
    return RunConfig(
        name=name,
        project=request.project,
        priority=request.priority,
        datasets=RunDatasets(labeled=dataset.id, validation=dataset.id, test=dataset.id),
        teacher_model=model.model,
        generations=0,
        resources=Resources(label=request.pool, batch_size=request.batch_size),
        fault_tolerance=FaultTolerance(max_bad_fraction=request.max_bad_fraction),
    )


def _plan(request: PredictionRequest, config: RunConfig) -> GenerationPlan:
    settings = PredictionSettings(**{name: getattr(request, name) for name in PredictionSettings.model_fields})
    return generation_plans(config)[0].model_copy(update={"prediction": settings})
