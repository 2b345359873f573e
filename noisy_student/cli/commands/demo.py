"""`noisy-student demo`: runs the whole loop on real digits and a private local stack in minutes."""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from noisy_student.cli.commands.link import page_address
from noisy_student.cli.extras import require
from noisy_student.cli.live_view import result_table, watch_run
from noisy_student.cli.terminal import Screen, styled
from noisy_student.client import Client
from noisy_student.errors import ApiError
from noisy_student.local.demo.report import demo_report, error_reduction
from service.private_files import PRIVATE_UMASK
from service.views.runs import RunView


def demo(
    folder: Annotated[Path, typer.Option(help="Output folder for demo.json and everything else.")] = Path("build"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split and the training.")] = 7,
) -> None:
    """Train one teacher and three noisy students on 100 labeled and 3,400 unlabeled digits, over REST."""
    require("all,demo")
    from noisy_student.local.demo.run import post_digits_run
    from noisy_student.local.stack import LocalStack, StackError

    os.umask(PRIVATE_UMASK)
    console = Screen()
    signal.signal(signal.SIGTERM, _interrupt)
    started_at = time.time()
    home = folder / "demo"
    for earlier in (home, folder / "digits"):
        shutil.rmtree(earlier, ignore_errors=True)
    try:
        console.print("Starting Ray, the API and the reconciler ...")
        with LocalStack(home, announce=console.print) as stack, Client(stack.api_url, stack.api_key) as client:
            run = post_digits_run(client, folder / "digits", seed)
            console.print(f"web page       {page_address(client, f'/ui/runs/{run.id}')}", soft_wrap=True)
            console.print(f"Ray dashboard  {stack.api_url}/ray/    once the page has been opened")
            console.print(f"posted run     {run.id}: {run.name}\n")
            run = watch_run(client, run.id, console)
    except KeyboardInterrupt:
        console.print("Interrupted; everything that was started has been stopped.")
        raise typer.Exit(130) from None
    except (ApiError, StackError) as error:
        console.print(styled(str(error), "red"))
        raise typer.Exit(1) from error
    report = demo_report(run, started_at, time.time())
    (folder / "demo.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _show(console, run, folder / "demo.json", report["seconds"])
    if run.state != "succeeded":
        raise typer.Exit(1)


def _show(console: Screen, run: RunView, written: Path, seconds: float) -> None:
    console.print(result_table(run))
    reduction = error_reduction(run, run.generation_details[-1])
    if reduction is not None:
        console.print(f"The last student makes {reduction:.0%} fewer test errors than its teacher.")
    console.print(f"{seconds:.0f} s in total, including start and stop of the stack. Written to {written}.")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
