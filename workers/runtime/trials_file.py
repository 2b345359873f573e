"""Finds the trials of a search in its folder: trials.json, and a folder for each trial's training."""

from pydantic import ValidationError

from workers.artifact_io import join_uri, read_bytes_if_there
from workers.specs.search import TRIALS_FILE, Trial, Trials


def read_trials(folder_uri: str) -> dict[int, Trial]:
    """The trials of a search so far, by number; empty if there are none, or they cannot be read."""
    data = read_bytes_if_there(join_uri(folder_uri, TRIALS_FILE))
    if data is None:
        return {}
    try:
        return {trial.number: trial for trial in Trials.model_validate_json(data).trials}
    except ValidationError:
        return {}


def trial_folder(folder_uri: str, number: int) -> str:
    """The folder of a trial's training."""
    return join_uri(folder_uri, "trials", f"{number:04d}")
