"""`noisy-student doctor`: checks what the service needs on this machine and says how to fix it."""

import typer
from rich.table import Table

from noisy_student.cli.extras import require
from noisy_student.cli.options import DEFAULT_API, ApiAddress
from noisy_student.cli.terminal import Screen, styled

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(api: ApiAddress = DEFAULT_API) -> None:
    """Check this machine: Python, packages, disk, database, artifacts, API and Ray. Exit code 1 if a check fails."""
    require("server")
    from noisy_student.local.examination import examine

    findings = examine(api)
    table = Table("", "what", header_style="bold")
    table.add_column("found", overflow="fold")
    table.add_column("hint", overflow="fold")
    for finding in findings:
        verdict = styled(finding.verdict, style=_STYLES[finding.verdict])
        table.add_row(verdict, styled(finding.subject), styled(finding.found), styled(finding.hint))
    Screen().print(table)
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(1)
