"""Whether a run's robustness can be measured against the model it names."""

from sqlalchemy.orm import Session

from service.config.run import RunConfig
from service.errors import InvalidRequest
from service.store.run_store import load_config
from service.store.tables import ModelRow

_FIELD = "evaluation.reference"


def check_reference(session: Session, config: RunConfig) -> None:
    """The reference exists, and was judged on the same test set in the same way. Raises InvalidRequest."""
    name = config.evaluation.reference
    if name is None:
        return
    model = session.get(ModelRow, name)
    if model is None:
        raise InvalidRequest(_FIELD, f"there is no model {name!r}")
    if model.test_top1 is None:
        raise InvalidRequest(_FIELD, f"{name} has not been evaluated")
    judged = load_config(session, model.run_id)
    if judged.datasets.test != config.datasets.test:
        raise InvalidRequest(_FIELD, f"{name} was evaluated on {judged.datasets.test}, not on {config.datasets.test}")
    if judged.evaluation.robustness != config.evaluation.robustness:
        raise InvalidRequest(_FIELD, f"{name} was evaluated with other robustness settings")
