"""What is remembered of runs' configurations."""

from collections.abc import Callable

from service.run_config import RunConfig
from service.run_rules import rules_of


def test_the_rules_remembered_take_megabytes_not_hundreds_of_them(run_config: Callable[..., RunConfig]) -> None:
    most = rules_of.cache_parameters()["maxsize"]
    assert most is not None
    assert most >= 1000
    assert most * len(run_config().model_dump_json()) < 20e6
