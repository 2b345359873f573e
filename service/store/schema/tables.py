"""The tables of datasets and runs, and the base class of all tables.

Times are in Unix seconds. Columns that hold JSON are text; pydantic writes and reads them.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Text,
    and_,
    column,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service.config.names import DEFAULT_PROJECT
from service.lifecycle.states import NOT_SUCCEEDED_STAGES, OPEN_ATTEMPTS, UNFINISHED_STAGES, RunKind
from service.store.schema.columns import PlainText, one_of

_OPEN_ATTEMPT = one_of(column("state"), OPEN_ATTEMPTS)
_READY_STAGE = and_(column("ready_at").is_not(None), one_of(column("state"), UNFINISHED_STAGES))
_NOT_SUCCEEDED_STAGE = one_of(column("state"), NOT_SUCCEEDED_STAGES)
_JOB_NOT_CLOSED = text("job_closed_at is null")


class Table(DeclarativeBase):
    """The base class of all tables. Every constraint has a name, so that migrations can change it.

    Wherever there is a `Database`, its metadata and registry contain the tables of all modules, because
    `service.store.visibility` imports them.
    """

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class DatasetRow(Table):
    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[str]
    format: Mapped[str]
    uri: Mapped[str]
    classes: Mapped[str] = mapped_column(Text)
    """JSON list of names in index order."""
    rows: Mapped[int]
    shards: Mapped[int]
    class_counts: Mapped[str | None] = mapped_column(Text)
    """JSON object: the number of images by class."""
    sampled: Mapped[int]
    sampled_bad: Mapped[int]
    hashed: Mapped[bool]
    """Whether the artifact root holds the content hashes of its images; false for very large datasets."""
    created_at: Mapped[float]
    project: Mapped[str] = mapped_column(default=DEFAULT_PROJECT)
    digest: Mapped[str | None]
    """The digest of what `digest_of` names; null for datasets registered before there were digests."""
    digest_of: Mapped[str | None]
    """"images" or "files"."""
    warnings: Mapped[str | None] = mapped_column(Text)
    """JSON list of sentences; null for datasets registered before there were warnings."""
    part: Mapped[str | None] = mapped_column(Text)
    """DatasetPart as JSON; null for a dataset that is no part of a split."""
    picture_side: Mapped[int | None]
    """The median of the shorter sides of the sampled images, in pixels; null where that was not kept."""
    version: Mapped[int] = mapped_column(default=1)
    previous: Mapped[str | None]  # the version before, whose shards come first; null for a first version
    first: Mapped[str | None]  # the first version; null for a first version itself

    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "project", "created_at", "id"),
        Index(None, "previous", unique=True),  # each version is continued once, whoever asks at the same time
        Index(None, "first", "version", "id"),
    )


class RunRow(Table):
    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    config: Mapped[str] = mapped_column(Text)
    """RunConfig as JSON."""
    state: Mapped[str] = mapped_column(index=True)
    state_reason: Mapped[str | None] = mapped_column(PlainText)
    created_at: Mapped[float]
    updated_at: Mapped[float]
    finished_at: Mapped[float | None]
    kind: Mapped[str] = mapped_column(default=RunKind.RUN)
    source_run_id: Mapped[str | None]
    """For searches and ablations, the run whose labels they use."""
    project: Mapped[str] = mapped_column(default=DEFAULT_PROJECT)
    priority: Mapped[int] = mapped_column(default=0)
    retention_due_at: Mapped[float | None] = mapped_column(index=True)
    """When retention should next look at the run; null if not before the run changes. Whatever changes the run sets
    this to the time of the change."""
    retention_policy: Mapped[str | None] = mapped_column(Text, index=True)
    """The service's RetentionPolicy at the last look, as JSON. Retention looks again when the policy changes."""
    request_id: Mapped[str | None]
    """The request that created the run; null for runs from before it was kept."""
    traceparent: Mapped[str | None]
    """The span of that request, in the form of W3C Trace Context; null where it is not traced."""

    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "kind", "created_at", "id"),
        Index(None, "source_run_id", "created_at", "id"),
        Index(None, "project", "kind", "created_at", "id"),
        Index(None, "kind", "state", "created_at", "id"),
        Index(None, "project", "kind", "state", "created_at", "id"),
    )


class GenerationRow(Table):
    __tablename__ = "generations"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]
    plan: Mapped[str] = mapped_column(Text)
    """GenerationPlan as JSON."""
    promoted: Mapped[bool | None]
    """Whether the gate accepted the generation's model as a teacher; null if no gate has judged it."""
    gate_reason: Mapped[str | None] = mapped_column(PlainText)
    gate_on: Mapped[str | None]  # the images on which it judged: "validation" or "test"


class StageRow(Table):
    __tablename__ = "stages"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    """The stage's position in the generation, from 0."""
    state: Mapped[str]
    attempts_before_retry: Mapped[int]
    result: Mapped[str | None] = mapped_column(Text)
    """The content of result.json, once the stage has succeeded."""
    ready_at: Mapped[float | None]
    finished_at: Mapped[float | None]

    __table_args__ = (
        ForeignKeyConstraint(["run_id", "generation"], ["generations.run_id", "generations.number"]),
        # The queue is read from this index. It holds one stage of each active run and none of a finished run.
        Index(
            "ix_stages_ready",
            "run_id",
            "generation",
            "name",
            sqlite_where=_READY_STAGE,
            postgresql_where=_READY_STAGE,
        ),
        # What is counted by state. Those that have succeeded are nearly all, and are counted when they do.
        Index(
            "ix_stages_not_succeeded",
            "name",
            "state",
            sqlite_where=_NOT_SUCCEEDED_STAGE,
            postgresql_where=_NOT_SUCCEEDED_STAGE,
        ),
    )


class AttemptRow(Table):
    __tablename__ = "attempts"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[str] = mapped_column(unique=True)
    """The id of the Ray job."""
    state: Mapped[str]
    failure_reason: Mapped[str | None]
    failure_message: Mapped[str | None] = mapped_column(PlainText)
    created_at: Mapped[float]
    submitted_at: Mapped[float | None]
    pause_requested_at: Mapped[float | None]
    stop_requested_at: Mapped[float | None]
    """When the reconciler first asked Ray to stop the attempt's job."""
    stop_asked_at: Mapped[float | None]
    """When the reconciler last asked Ray to stop the attempt's job."""
    finished_at: Mapped[float | None]
    devices: Mapped[float] = mapped_column(default=0.0)
    """How many devices the project pays for while the attempt is submitted: as its spec requests, until its driver
    reports what it decided on the cluster."""
    device_kind: Mapped[str | None]
    """What `devices` counts, "gpu" or "cpu"; null for attempts of earlier releases."""
    waiting: Mapped[str | None] = mapped_column(PlainText)
    """`Waiting` as JSON: what the attempt waits for before its work begins. Null if it does not wait."""
    job_closed_at: Mapped[float | None]
    """When the job closer finished with Ray: the log, if there was one, is saved and the job is deleted."""
    log_saved: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (
        ForeignKeyConstraint(["run_id", "generation", "stage"], ["stages.run_id", "stages.generation", "stages.name"]),
        CheckConstraint("number >= 1", name="number_from_1"),
        # No stage runs twice at once, whatever the code does.
        Index(
            "ix_attempts_one_open",
            "run_id",
            "generation",
            "stage",
            unique=True,
            sqlite_where=_OPEN_ATTEMPT,
            postgresql_where=_OPEN_ATTEMPT,
        ),
        Index(
            "ix_attempts_job_not_closed",
            "finished_at",
            sqlite_where=_JOB_NOT_CLOSED,
            postgresql_where=_JOB_NOT_CLOSED,
        ),
    )


class ModelRow(Table):
    __tablename__ = "models"

    id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str]
    generation: Mapped[int]
    model: Mapped[str]
    parameters: Mapped[int]
    uri: Mapped[str]
    validation_top1: Mapped[float | None]
    test_top1: Mapped[float | None]
    created_at: Mapped[float]
    kept: Mapped[bool] = mapped_column(default=False)
    """Whether retention keeps the model and everything in its run that it came from."""
    project: Mapped[str]
    """The project of the model's run, copied here so that listing a caller's models looks up no run."""
    imported_from: Mapped[str | None] = mapped_column(PlainText)
    """The file of weights of a model that was trained elsewhere."""
    weights_digest: Mapped[str | None]
    """SHA-256 of that file."""

    __table_args__ = (
        ForeignKeyConstraint(["run_id", "generation"], ["generations.run_id", "generations.number"]),
        Index(None, "run_id", "generation", unique=True),
        Index(None, "created_at", "id"),
        Index(None, "project", "created_at", "id"),
    )


class EventRow(Table):
    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    """Null if the event concerns no run, for example the registration of a dataset."""
    at: Mapped[float]
    generation: Mapped[int | None]
    stage: Mapped[str | None]
    attempt: Mapped[int | None]
    kind: Mapped[str]
    message: Mapped[str] = mapped_column(PlainText)

    __table_args__ = (Index(None, "run_id", "id"),)


class CollectionRow(Table):
    """Artifacts of a stage that retention has marked for deletion and then deleted. A mark is never taken back."""

    __tablename__ = "collections"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    artifact: Mapped[str] = mapped_column(primary_key=True)
    keep_last: Mapped[int]
    """For checkpoints, how many of the newest ones the policy kept when the others were marked."""
    marked_at: Mapped[float]
    claimed_until: Mapped[float | None]
    """Until when the process that collects the artifact has claimed it."""
    collected_at: Mapped[float | None] = mapped_column(index=True)
    """Null while files may still exist."""
    files: Mapped[int | None]
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    digest: Mapped[str | None]
    """The digest of the names and contents of the collected files."""

    __table_args__ = (
        ForeignKeyConstraint(["run_id", "generation", "stage"], ["stages.run_id", "stages.generation", "stages.name"]),
    )
