"""Builds the spec of a stage from the run's configuration, the generation's plan and the results before it."""

from service.artifacts.layout import ArtifactLayout
from service.config.gate import gated_robustness
from service.config.settings.groups import PlacementSettings
from service.config.stage_key import StageKey
from service.dataset_roots import RootsByProject
from service.stages.common_fields import CommonFields
from service.stages.generation_plans import generation_plans, measured_students
from service.stages.placement import placed
from service.stages.search_space import searched_models
from service.stages.spec_inputs import SpecInputs
from service.stages.stage_places import StagePlaces
from workers.specs.evaluation import ExternalSet, PseudoLabelTruth, RobustnessReference
from workers.specs.internals import LibraryInternals
from workers.specs.labeling import PseudoLabels
from workers.specs.stages import (
    AblateSpec,
    AnyStageSpec,
    EvaluateSpec,
    LabelSpec,
    MeasureSpec,
    PredictSpec,
    SearchSpec,
    SelectSpec,
    StageName,
    TrainSpec,
    VerifySpec,
)


def build_stage_spec(
    inputs: SpecInputs,
    layout: ArtifactLayout,
    roots: RootsByProject,
    generation: int,
    stage: StageName,
    attempt: int,
    internals: LibraryInternals = LibraryInternals(),
    placement: PlacementSettings = PlacementSettings(),
) -> AnyStageSpec:
    """Returns the spec for attempt `attempt` of a stage. The stage may read images only below `roots`."""
    return _Builder(inputs, layout, roots, generation, attempt, internals, placement).build(stage)


class _Builder(StagePlaces):
    """Builds the specs of one generation, and the parts that they share."""

    def __init__(
        self,
        inputs: SpecInputs,
        layout: ArtifactLayout,
        roots: RootsByProject,
        generation: int,
        attempt: int,
        internals: LibraryInternals,
        placement: PlacementSettings,
    ) -> None:
        super().__init__(inputs, layout, generation)
        self._roots = roots
        self._internals = internals
        self._resources = placed(inputs.config.resources, placement)
        self._nodes = placement.nodes
        self._resize_check_seconds = placement.resize_check_seconds
        self._plan = inputs.plans[generation]
        self._attempt = attempt

    def build(self, stage: StageName) -> AnyStageSpec:
        match stage:
            case "label":
                return self._label()
            case "select":
                return self._select()
            case "train":
                return self._train()
            case "evaluate":
                return self._evaluate()
            case "search":
                return self._search()
            case "ablate":
                return self._ablate()
            case "measure":
                return self._measure()
            case "predict":
                return self._predict()
            case "verify":
                return self._verify()

    def _common(self, stage: StageName) -> CommonFields:
        folder_uri = self._folder(stage)
        return CommonFields(
            run_id=self._inputs.run_id,
            generation=self._generation,
            attempt=self._attempt,
            folder_uri=folder_uri,
            seed=self._plan.seed,
            max_bad_fraction=self._inputs.config.fault_tolerance.max_bad_fraction,
            dataset_roots=self._roots.of_stage(stage, folder_uri, self._inputs.projects),
            internals=self._internals,
            nodes=self._nodes,
        )

    def _label(self) -> LabelSpec:
        imported = self._inputs.imported(self._generation)
        fits = self._plan.recipe.temperature == "fit" and imported is None
        return LabelSpec(
            **self._common("label"),
            # The student of the previous generation is the teacher of this one, unless the gate refused it.
            model_uri=self._inputs.teacher_of(self._generation).uri,
            manifest_uri=self._unlabeled_manifest(),
            top_k=self._resources.top_k,
            batch_size=self._resources.batch_size,
            views=self._inputs.config.labeling.views,
            further_teachers=self._inputs.further_teachers if imported is None else (),
            pool=self._resources.label,
            calibration_manifest_uri=self._layout.manifest(self._datasets.validation) if fits else None,
            evaluation_images=self._evaluation_images(),
            near_duplicate_distance=self._plan.selection.near_duplicate_distance,
            imported=imported,
            reusable_labels=self._inputs.reusable_labels,
        )

    def _select(self) -> SelectSpec:
        return SelectSpec(
            **self._common("select"),
            manifest_uri=self._unlabeled_manifest(),
            labels_uri=self._source_folder("label"),
            classes=self._inputs.classes,
            settings=self._plan.selection,
            labeled_manifest_uri=self._layout.manifest(self._datasets.labeled),
            # Materializing neither decodes images nor computes anything that a GPU would speed up.
            pool=self._resources.label.model_copy(update={"gpus_per_actor": 0.0, "node_labels": None}),
        )

    def _train(self) -> TrainSpec:
        model, recipe = self._inputs.student_of(self._generation)
        trains_first = self._generation == self._inputs.first_training
        return TrainSpec(
            **self._common("train"),
            model=model,
            classes=self._inputs.classes,
            recipe=recipe,
            labeled_manifest_uri=self._layout.manifest(self._datasets.labeled),
            validation_manifest_uri=self._layout.manifest(self._datasets.validation),
            pseudo_labels=self._pseudo_labels(),
            initial_model_uri=self._inputs.initial_model_uri(self._generation, recipe),
            file_roots=self._roots.of(self._inputs.config.project).roots,
            # The labeled images are the same in every generation: the first training compares them.
            labeled_images=self._fingerprinted(self._datasets.labeled) if trains_first else None,
            evaluation_images=self._evaluation_images() if trains_first else (),
            near_duplicate_distance=self._plan.selection.near_duplicate_distance,
            gate_on=None if self._inputs.config.gate is None else self._inputs.config.gate.on,
            workers=self._resources.train,
            resize_check_seconds=self._resize_check_seconds,
        )

    def _search(self) -> SearchSpec:
        assert self._plan.search is not None
        teacher = None
        if self._generation > 0 and not self._inputs.config.allow_smaller_student:
            teacher = self._inputs.teacher_of(self._generation).model
        return SearchSpec(
            **self._common("search"),
            base=self._train(),
            settings=self._plan.search,
            models=searched_models(self._plan.search.space, self._inputs.catalog, len(self._inputs.classes), teacher),
        )

    def _ablate(self) -> AblateSpec:
        assert self._plan.ablation is not None
        teacher, on = self._inputs.teacher_of(self._generation), self._plan.ablation.on
        teacher_top1 = teacher.validation_top1 if on == "validation" else teacher.test_top1
        judged = self._datasets.validation if on == "validation" else self._datasets.test
        return AblateSpec(
            **self._common("ablate"),
            base=self._train(),
            selection=self._select(),
            settings=self._plan.ablation,
            teacher_uri=teacher.uri,
            teacher_model=teacher.model,
            teacher_error=None if teacher_top1 is None else 1 - teacher_top1,
            judged_manifest_uri=self._layout.manifest(judged),
        )

    def _measure(self) -> MeasureSpec:
        assert self._plan.bill is not None
        config = self._inputs.config
        students, _ = measured_students(generation_plans(config))
        return MeasureSpec(
            **self._common("measure"),
            classes=self._inputs.classes,
            students=self._inputs.with_initial_models(students),
            labeled_manifest_uri=self._layout.manifest(self._datasets.labeled),
            unlabeled_manifest_uri=self._unlabeled_manifest() if config.generations else None,
            validation_manifest_uri=self._layout.manifest(self._datasets.validation),
            test_manifest_uri=self._layout.manifest(self._datasets.test),
            external_manifest_uris={
                external.name: self._layout.manifest(external.dataset) for external in config.evaluation.external
            },
            robustness=config.evaluation.robustness,
            corrupted_validation=config.search is not None and config.search.objective == "corrupted_accuracy",
            workers=self._resources.train,
            pool=self._resources.label,
            batch_size=self._resources.batch_size,
            top_k=self._resources.top_k,
            file_roots=self._roots.of(config.project).roots,
            views=config.labeling.views,
            further_teachers=self._inputs.further_teachers,
            sample_seconds=self._plan.bill.sample_seconds,
        )

    def _predict(self) -> PredictSpec:
        assert self._plan.prediction is not None
        asked = self._plan.prediction
        return PredictSpec(
            **self._common("predict"),
            model_id=asked.model,
            model_uri=self._inputs.predicting_models[asked.model],
            manifest_uri=self._layout.manifest(asked.dataset),
            top_k=asked.top_k,
            batch_size=self._resources.batch_size,
            pool=self._resources.label,
        )

    def _verify(self) -> VerifySpec:
        assert self._plan.registration is not None
        return VerifySpec(
            **self._common("verify"),
            settings=self._plan.registration,
            manifest_uri=self._layout.manifest(self._datasets.labeled),
            file_roots=self._roots.of(self._inputs.config.project).roots,
        )

    def _evaluate(self) -> EvaluateSpec:
        config = self._inputs.config
        gate = config.gate if config.gate is not None and config.gate.on == "validation" else None
        # No training has measured a given teacher on this run's validation images.
        validates = gate is not None or self._plan.given is not None
        return EvaluateSpec(
            **self._common("evaluate"),
            model_uri=self._inputs.models[self._generation].uri,
            manifest_uri=self._layout.manifest(self._datasets.test),
            batch_size=self._resources.batch_size,
            pool=self._resources.label,
            pseudo_label_truth=self._pseudo_label_truth(),
            robustness=config.evaluation.robustness,
            reference=self._reference(),
            external=tuple(
                ExternalSet(
                    name=external.name,
                    manifest_uri=self._layout.manifest(external.dataset),
                    class_map=external.class_map,
                )
                for external in config.evaluation.external
            ),
            validation_manifest_uri=self._layout.manifest(self._datasets.validation) if validates else None,
            validation_robustness=(
                None if gate is None else gated_robustness(gate.conditions, config.evaluation.robustness)
            ),
        )

    def _reference(self) -> RobustnessReference | None:
        run_id, generation = self._inputs.reference or (self._inputs.run_id, 0)
        if (run_id, generation) == (self._inputs.run_id, self._generation):
            return None
        evaluated = StageKey(run_id, generation, "evaluate")
        own = self._inputs.models[generation].id if run_id == self._inputs.run_id else evaluated.model_id
        return RobustnessReference(model_id=own, result_uri=self._layout.result(evaluated))

    def _pseudo_labels(self) -> PseudoLabels | None:
        if self._generation == 0:
            return None
        return PseudoLabels(
            manifest_uri=self._unlabeled_manifest(),
            labels_uri=self._source_folder("label"),
            selection_uri=self._source_folder("select"),
            teachers=self._inputs.teacher_ids(self._generation),
        )

    def _pseudo_label_truth(self) -> PseudoLabelTruth | None:
        if self._generation == 0 or self._datasets.pseudo_label_truth is None:
            return None
        return PseudoLabelTruth(
            labels_uri=self._folder("label"),
            labels_manifest_uri=self._unlabeled_manifest(),
            truth_manifest_uri=self._layout.manifest(self._datasets.pseudo_label_truth),
        )
