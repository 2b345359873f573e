"""What a selection gets when it is submitted: people's marks until then, and the labels of the generation before."""

from functools import partial

from service.artifacts.layout import ArtifactLayout
from service.artifacts.timed_calls import ArtifactCalls
from service.config.stage_key import StageKey
from service.review.mark_store import load_marks
from service.review.pools import PoolsOfRun
from service.store.database import Database
from workers.artifact_io import exists, join_uri, list_files, write_bytes
from workers.data.marks import marks_parquet
from workers.specs.review import MARKS_FILE, EarlierLabels
from workers.specs.stages import SPECS_FOLDER, AblateSpec, AnyStageSpec, SelectSpec, spec_name


class SelectionInputs:
    """Completes the specs of selections."""

    def __init__(self, database: Database, layout: ArtifactLayout, artifact_calls: ArtifactCalls) -> None:
        self._database = database
        self._layout = layout
        self._artifact_calls = artifact_calls

    def completed(self, spec: AnyStageSpec, key: StageKey) -> AnyStageSpec:
        """Returns the spec with the run's marks and earlier labels, if it selects. Raises ArtifactStoreUnavailable.

        All attempts of a stage follow the marks that were there at the first one: what it has written stays valid. An
        ablation selects with the marks of the selection that it takes apart.
        """
        match spec:
            case SelectSpec():
                return spec.model_copy(update={"marks_uri": self._frozen(spec, key), "earlier": self._earlier(key)})
            case AblateSpec() if spec.base.pseudo_labels is not None:
                uri = self._if_there(join_uri(spec.base.pseudo_labels.selection_uri, MARKS_FILE))
                return spec.model_copy(update={"selection": spec.selection.model_copy(update={"marks_uri": uri})})
            case _:
                return spec

    def _earlier(self, key: StageKey) -> EarlierLabels | None:
        if key.generation < 2:  # generation 0 labels nothing
            return None
        with self._database.read() as session:
            if not PoolsOfRun(session, key.run_id).can_be_compared(key.generation - 1, key.generation):
                return None
        before = StageKey(key.run_id, key.generation - 1, "label")
        selected = StageKey(key.run_id, key.generation - 1, "select")
        folders = (self._layout.stage_folder(before), self._layout.stage_folder(selected))
        return EarlierLabels(labels_uri=folders[0], selection_uri=folders[1])

    def _frozen(self, spec: SelectSpec, key: StageKey) -> str | None:
        uri = self._layout.stage_file(key, MARKS_FILE)
        if self._if_there(uri) is not None:
            return uri
        specs_uri = self._layout.stage_file(key, SPECS_FOLDER)
        earlier = self._artifact_calls.one(specs_uri, partial(list_files, specs_uri))
        if any(spec_name(number) == f"{SPECS_FOLDER}/{name}" for number in range(1, spec.attempt) for name in earlier):
            return None
        with self._database.read() as session:
            marks = load_marks(session, key.run_id, spec.classes)
        if not marks:
            return None
        self._artifact_calls.one(uri, partial(write_bytes, uri, marks_parquet(marks)))
        return uri

    def _if_there(self, uri: str) -> str | None:
        return uri if self._artifact_calls.one(uri, partial(exists, uri)) else None
