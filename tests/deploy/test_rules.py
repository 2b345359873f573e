"""Prometheus accepts the alert rules and the dashboards' expressions, and the rules' own tests pass."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.places import CHART
from tests.deploy.tools import promtool, run

RULES = sorted((CHART / "files" / "rules").glob("*.yaml"))
RULE_TESTS = sorted((CHART / "files" / "rules" / "tests").glob("*.yaml"))
DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
RUNBOOK = CHART.parents[2] / "docs" / "runbook.md"
METRICS = RUNBOOK.parent / "metrics.md"
_VARIABLE = re.compile(r"\$\{?\w+(?::\w+)?\}?")


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: rules.stem)
def test_rules_are_rules(rules: Path) -> None:
    done = run(promtool(), "check", "rules", rules)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("tests", RULE_TESTS, ids=lambda tests: tests.stem)
def test_alerts_fire_when_they_should(tests: Path) -> None:
    done = run(promtool(), "test", "rules", tests.name, folder=tests.parent)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test_of_its_own() -> None:
    alerts = {
        rule["alert"]
        for file in RULES
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    fired = {
        expected["alertname"]
        for file in RULE_TESTS
        for case in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]
        for expected in case["alert_rule_test"]
        if expected["exp_alerts"]
    }
    assert alerts
    assert alerts - fired == set()


def test_every_alert_names_its_section_of_the_runbook() -> None:
    sections = set(re.findall(r"^## (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        rule["alert"]: rule["annotations"]["runbook"]
        for file in RULES
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    }
    assert named == {section: f"docs/runbook.md#{section.lower()}" for section in sections}


def test_the_rules_of_the_service_ask_for_metrics_that_there_are() -> None:
    asked = set(re.findall(r"\bnoisy_student_\w+", (CHART / "files" / "rules" / "service.yaml").read_text("utf-8")))
    told = set(re.findall(r"`(noisy_student_\w+)`", METRICS.read_text(encoding="utf-8")))
    assert {each.removesuffix("_bucket") for each in asked} - told == set()


def _expressions(panel: Any) -> Iterator[str]:
    for inner in panel.get("panels") or ():
        yield from _expressions(inner)
    for target in panel.get("targets") or ():
        yield target["expr"]


def _checked(expressions: list[str], folder: Path) -> str:
    """promtool's complaints about the expressions, with an interval in place of Grafana's variables."""
    rules = [
        {"record": f"expression:{number}", "expr": _VARIABLE.sub("1m", each)} for number, each in enumerate(expressions)
    ]
    file = folder / "expressions.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    done = run(promtool(), "check", "rules", file)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_every_expression_of_a_dashboard_is_one(tmp_path: Path) -> None:
    for dashboard in DASHBOARDS:
        expressions = list(_expressions(json.loads(dashboard.read_text(encoding="utf-8"))))
        assert expressions, dashboard.name
        assert _checked(expressions, tmp_path) == "", dashboard.name


def test_a_broken_expression_and_a_broken_rule_are_caught(tmp_path: Path) -> None:
    assert _checked(["rate(requests_total[$__rate_interval])"], tmp_path) == ""
    assert "parse error" in _checked(["rate(requests_total[5m)"], tmp_path)
    file = tmp_path / "rules.yaml"
    file.write_text(RULES[0].read_text(encoding="utf-8").replace("expr:", "exp:", 1), encoding="utf-8")
    assert run(promtool(), "check", "rules", file).returncode != 0
