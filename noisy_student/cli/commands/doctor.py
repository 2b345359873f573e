"""`noisy-student doctor`: asks the running service how it is, or checks this machine where none answers."""

from collections.abc import Sequence
from typing import Literal

import typer
from pydantic import BaseModel
from rich.table import Table

from noisy_student.cli.exit_codes import ExitCode
from noisy_student.cli.extras import require
from noisy_student.cli.options import DEFAULT_API, ApiAddress
from noisy_student.cli.output import TABLE, Output, show
from noisy_student.cli.terminal import say, styled
from noisy_student.client import Client
from noisy_student.errors import ApiError, Forbidden, UnexpectedAnswer, Unreachable
from noisy_student.findings import Finding, of_service, of_settings

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


class FindingView(BaseModel):
    """A finding as it is printed."""

    subject: str
    verdict: Literal["ok", "warn", "fail"]
    found: str
    hint: str


def doctor(output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """Check the running service, with the settings that it has; where none answers, this machine with its own.

    Exit code 1 if a check fails.
    """
    findings = _findings(api)
    views = [FindingView(subject=f.subject, verdict=f.verdict, found=f.found, hint=f.hint) for f in findings]
    show(views, output, lambda screen: screen.print(_table(findings)))
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(ExitCode.ERROR)


def _findings(api: str) -> list[Finding]:
    try:
        with Client(api) as client:
            return _of_running(client)
    except (Unreachable, UnexpectedAnswer):
        say(f"no service answers at {api}: this machine is checked, with the settings of its own environment", err=True)
        require("server")
        from noisy_student.local.examination import examine

        return examine(api)


def _of_running(client: Client) -> list[Finding]:
    try:
        findings = of_service(client.api, client.service.me(), client.service.readiness())
    except (Unreachable, UnexpectedAnswer):
        raise
    except ApiError as error:
        return [Finding("API", "fail", f"{client.api} answers: {error}", "noisy-student login, or look at its log")]
    try:
        return [*findings, *of_settings(client.service.settings())]
    except Forbidden:
        return [*findings, Finding("settings", "warn", "not shown to this key", "only a key of scope admin sees them")]


def _table(findings: Sequence[Finding]) -> Table:
    table = Table("", "what", header_style="bold")
    table.add_column("found", overflow="fold")
    table.add_column("hint", overflow="fold")
    for finding in findings:
        verdict = styled(finding.verdict, style=_STYLES[finding.verdict])
        table.add_row(verdict, styled(finding.subject), styled(finding.found), styled(finding.hint))
    return table
