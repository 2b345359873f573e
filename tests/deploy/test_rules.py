"""Prometheus accepts the alert rules and the dashboards' expressions, and the rules' own tests pass."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import GIVEN, render
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


def _documented() -> set[str]:
    """The service's metrics that a table of docs/metrics.md has in its first column."""
    rows = re.findall(r"^\| ([^|]+) \|", METRICS.read_text(encoding="utf-8"), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`((?:ray_)?noisy_student_\w+)`", row)}


def _ours(text: str) -> set[str]:
    """The service's metrics in an expression or a file of expressions."""
    return {each.removesuffix("_bucket") for each in re.findall(r"\b(?:ray_)?noisy_student_\w+", text)}


def test_rules_and_dashboards_ask_for_metrics_that_there_are() -> None:
    for file in (*RULES, *DASHBOARDS):
        assert _ours(file.read_text(encoding="utf-8")) - _documented() == set(), file.name


def test_every_metric_of_the_service_is_on_a_dashboard() -> None:
    shown = {name for dashboard in DASHBOARDS for name in _ours("\n".join(expressions_of(dashboard)))}
    assert _documented() - shown == set()


def test_helm_leaves_the_dashboards_as_they_are() -> None:
    values = {**GIVEN, "monitoring": {"dashboards": True}}
    maps = [each for each in render(values=values) if "dashboard" in each["metadata"]["name"]]
    rendered = {name: text for each in maps for name, text in each["data"].items()}
    assert rendered == {file.name: file.read_text(encoding="utf-8") for file in DASHBOARDS}


def test_every_panel_has_a_title_a_place_of_its_own_and_the_chosen_data_source() -> None:
    for file in DASHBOARDS:
        panels = json.loads(file.read_text(encoding="utf-8"))["panels"]
        places = [
            (x, y)
            for place in (panel["gridPos"] for panel in panels)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(places) == len(set(places))
        assert max(x for x, _ in places) < 24
        assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
        sources = {target["datasource"]["uid"] for panel in panels for target in panel.get("targets", ())}
        assert sources == {"${datasource}"}


def without_variables(expression: str) -> str:
    """The expression with an interval in place of Grafana's variables."""
    return _VARIABLE.sub("1m", expression)


def _expressions(panel: Any) -> Iterator[str]:
    for inner in panel.get("panels") or ():
        yield from _expressions(inner)
    for target in panel.get("targets") or ():
        yield target["expr"]


def expressions_of(dashboard: Path) -> list[str]:
    """The expressions of all panels."""
    return list(_expressions(json.loads(dashboard.read_text(encoding="utf-8"))))


def _checked(expressions: list[str], folder: Path) -> str:
    """promtool's complaints about the expressions, with an interval in place of Grafana's variables."""
    rules = [
        {"record": f"expression:{number}", "expr": without_variables(each)} for number, each in enumerate(expressions)
    ]
    file = folder / "expressions.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    done = run(promtool(), "check", "rules", file)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_every_expression_of_a_dashboard_is_one(tmp_path: Path) -> None:
    assert DASHBOARDS
    for dashboard in DASHBOARDS:
        expressions = expressions_of(dashboard)
        assert expressions, dashboard.name
        assert _checked(expressions, tmp_path) == "", dashboard.name


def test_a_broken_expression_and_a_broken_rule_are_caught(tmp_path: Path) -> None:
    assert _checked(["rate(requests_total[$__rate_interval])"], tmp_path) == ""
    assert "parse error" in _checked(["rate(requests_total[5m)"], tmp_path)
    file = tmp_path / "rules.yaml"
    file.write_text(RULES[0].read_text(encoding="utf-8").replace("expr:", "exp:", 1), encoding="utf-8")
    assert run(promtool(), "check", "rules", file).returncode != 0
