"""The service decides which internals of torch, timm and Ray a stage uses, and puts them into each attempt's spec."""

import pytest

from service.settings import Settings
from tests.support.workbench import MakeConfig, Workbench
from workers.specs.internals import LibraryInternals


@pytest.mark.parametrize("name", LibraryInternals.model_fields)
def test_what_the_setting_turns_off_is_off_in_the_spec_that_the_job_reads(
    name: str, bench: Workbench, run_config: MakeConfig
) -> None:
    internals = LibraryInternals(**{name: False})
    bench.restart(bench.settings.model_copy(update={"internals": internals}))
    run_id = bench.commands.create_run(run_config()).id
    bench.new_reconciler().tick()
    assert bench.ray.spec_of(f"{run_id}-g0-train-a1").internals == internals


def test_they_are_used_unless_the_environment_turns_them_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(Settings().internals.model_dump().values()) == {True}
    monkeypatch.setenv("NOISY_STUDENT_INTERNALS__TIMM_IMPORTS", "false")
    off = [name for name, used in Settings().internals.model_dump().items() if not used]
    assert off == ["timm_imports"]
