"""`noisy-student runs create` and `runs clone`: start a run from a file, or from another run with changes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from noisy_student.cli.bodies import read_body
from noisy_student.cli.changes import with_changes
from noisy_student.cli.commands.runs.follow import end_as
from noisy_student.cli.commands.runs.manage import tell
from noisy_student.cli.live_view import result_table, watch_run
from noisy_student.cli.options import DEFAULT_API, ApiAddress, IdempotencyKey, body_option
from noisy_student.cli.output import TABLE, Output, OutputFormat, print_yaml, show
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from noisy_student.errors import ApiError

_OF_PRESETS = ("teacher_recipe", "student_recipe", "selection")
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Set a field, such as student_recipe.steps=2000 or 'student_models=[resnet18, resnet34]'; repeatable.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the configuration as YAML; start nothing.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the run ends; the exit code says how.")]
Watch = Annotated[bool, typer.Option("--watch", help="Wait with live progress.")]


def create(
    file: Annotated[Path, body_option("The run's configuration")],
    changes: Changes = None,
    dry_run: DryRun = False,
    wait: Wait = False,
    watch: Watch = False,
    idempotency_key: IdempotencyKey = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Start a run."""
    config = _changed(read_body(file), changes or ())
    if dry_run:
        print_yaml(config)
        return
    with Client(api) as client:
        _start(client, config, idempotency_key, (wait, watch), output)


def clone(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run whose configuration to use.")],
    changes: Changes = None,
    dry_run: DryRun = False,
    wait: Wait = False,
    watch: Watch = False,
    idempotency_key: IdempotencyKey = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Start a run with the configuration of another one, and with changes."""
    with Client(api) as client:
        config = client.runs.get(run_id).config
        if config is None:
            raise ApiError(f"the configuration of {run_id} is of another version of the service, and cannot be cloned")
        stored = config.model_dump(mode="json", exclude_unset=True)
        body = _changed(_without_what_a_preset_gives(stored, changes or ()), changes or ())
        if dry_run:
            print_yaml(body)
            return
        _start(client, body, idempotency_key, (wait, watch), output)


def _changed(body: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    try:
        return with_changes(body, changes)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from error


def _without_what_a_preset_gives(stored: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The stored configuration, without its whole recipes and selection if a change names another preset: they would
    override all that the preset gives."""
    if not any(change.partition("=")[0].strip() == "preset" for change in changes):
        return stored
    say("recipes and selection are the preset's, not those of the run", err=True)
    return {name: value for name, value in stored.items() if name not in _OF_PRESETS}


def _start(
    client: Client,
    config: Mapping[str, Any],
    idempotency_key: str | None,
    waits: tuple[bool, bool],
    output: OutputFormat,
) -> None:
    """Starts the run. Follows it to its end if `waits`, which is (silently, with live progress), asks for either."""
    run = client.runs.create(config, idempotency_key=idempotency_key)
    if not any(waits):
        tell("started", run, output, client.api)
        return
    say(f"{run.id} started", err=True)
    _, with_progress = waits
    ended = watch_run(client, run.id, Screen(stderr=output.is_for_programs)) if with_progress else run.wait()
    show(ended, output, lambda screen: screen.print(result_table(ended)))
    end_as(ended)
