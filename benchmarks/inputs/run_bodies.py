"""JSON bodies of runs, plans, searches and webhooks that cannot work, or that must: numbers, batches, long lists."""

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.inputs.bodies import MADE, PATHS, REFUSED, put, request
from benchmarks.inputs.expectations import Answered, RequestInput


def inputs() -> Iterator[RequestInput]:
    """Yields all inputs of this module."""
    yield from _numbers()
    yield from _batches()
    yield from _steps()
    yield from _lists()
    yield from _webhooks()
    yield from _derived_names()
    yield from _minimal()
    yield from _sets()
    yield from _pages()


_BOUNDED = (
    *("generations", "seed", "priority", "fault_tolerance.max_bad_fraction"),
    *("student_recipe.image_size", "student_recipe.ema_decay"),
    *("student_recipe.noise.dropout", "student_recipe.unlabeled_ratio", "selection.min_confidence"),
)
_UNBOUNDED = (
    *("student_recipe.steps", "student_recipe.batch_size", "student_recipe.optimizer.learning_rate"),
    *("resources.batch_size", "resources.train.num_workers", "fault_tolerance.schedule_timeout_seconds"),
)
_NO_NUMBERS: dict[str, object] = {
    "a text": "1",
    "null": None,
    "a list": [1],
    "true": True,
    "an object": {},
    "-1000": -1000,
    "10^400": 10**400,
}


def _numbers() -> Iterator[RequestInput]:
    for place in (*_BOUNDED, *_UNBOUNDED):
        more: dict[str, object] = {"10^30": 10**30} if place in _BOUNDED else {}
        for name, value in (_NO_NUMBERS | more).items():
            yield request(f"{place} that is {name}", "numbers", put(place, value), Answered((400, 422)))
        large_and_small: dict[str, object] = {"10^18": 10**18, "1.5": 1.5, "1e-320": 1e-320}
        for name, value in large_and_small.items():
            # If no value is too large by itself, what is stored must come back.
            yield request(f"{place} that is {name}", "numbers", put(place, value), Answered((201, 422)))


def _batch(size: int, workers: int) -> Callable[[Any], Any]:
    def change(body: Any) -> Any:
        for recipe in ("teacher_recipe", "student_recipe"):
            put(f"{recipe}.batch_size", size)(body)
        return put("resources.train.num_workers", workers)(body)

    return change


def _batches() -> Iterator[RequestInput]:
    """Yields batch sizes. One image per step cannot train a worker's batch norm; teachers have labeled images only."""
    too_small = ((1, 1), (1, 2), (2, 2), (3, 2), (7, 4), (8, 8), (5, 16), (15, 8))
    for size, workers in (*too_small, (4, 2), (8, 4), (2, 1), (16, 8)):
        expected = Answered((422,), ("batch",)) if (size, workers) in too_small else MADE
        name, change = f"{size} images for {workers} workers", _batch(size, workers)
        yield request(name, "batches", change, expected)
        yield request(name, "batches", _within_run(change), expected, "plan")


def _within_run(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda body: {**body, "run": change(body["run"])}


def _steps() -> Iterator[RequestInput]:
    """Yields numbers of steps. A recipe that sets only its steps must get a warm-up that fits."""
    for steps in (1, 2, 10, 50, 99, 100, 101):
        alone = {"steps": steps, "image_size": 32}
        yield request(f"{steps} steps alone", "steps", put("student_recipe", alone), MADE)
        teacher = put("teacher_recipe", alone | {"unlabeled_ratio": 0})
        yield request(f"{steps} steps of the teacher alone", "steps", teacher, MADE)
        yield request(f"{steps} steps alone", "steps", put("recipe", alone), MADE, "search")
    yield request("50 steps alone", "steps", _within_run(put("student_recipe", {"steps": 50})), MADE, "plan")
    override = put("generation_overrides", {"1": {"recipe": {"steps": 50, "image_size": 32}}})
    yield request("50 steps of a generation alone", "steps", override, MADE)
    too_long = put("student_recipe.schedule", {"warmup_steps": 300})
    yield request("a warm-up that was set, and is too long", "steps", too_long, Answered((422,), ("warmup",)))


def _lists() -> Iterator[RequestInput]:
    kind = "long lists"
    thousands: dict[str, Any] = {
        "student_models": ["test_resnet"] * 100_000,
        "gate.conditions": ["top1 >= previous"] * 1000,
        "evaluation.external": [{"name": "a", "dataset": "b"}] * 1000,
        "generation_overrides": {str(number): {} for number in range(10_000)},
        "student_recipe.mean": [0.5] * 1000,
    }
    for place, value in thousands.items():
        yield request(f"{place} of thousands", kind, put(place, value), REFUSED)
    yield request("300,000 numbers as models", kind, put("student_models", [1] * 300_000), REFUSED)
    yield request("a name of five megabytes", kind, put("name", "a" * (5 << 20)), Answered((413,)))
    many = [f"class {number}" for number in range(100_000)]
    labeled = {"role": "labeled", "uri": "/nonexistent"}
    yield request("100,000 classes", kind, lambda body: {**body, **labeled, "classes": many}, REFUSED, "dataset")
    yield request("classes that are numbers", kind, put("classes", [0, 1]), REFUSED, "dataset")
    yield request("a class of a megabyte", kind, put("classes", ["a" * (1 << 20), "b"]), REFUSED, "dataset")
    question_marks = put("settings.space", {"family": "?" * 3_000_000})
    yield request("a family of question marks", kind, question_marks, REFUSED, "search")
    stars = put("settings.space", {"family": "*a" * 90})
    yield request("a family that backtracks", kind, stars, Answered((201, 422)), "search")
    yield request("kinds of thousands", kind, put("kinds", ["run_failed"] * 50_000), REFUSED, "webhook")


_NO_RECEIVERS = (
    *("http://example.org", "ftp://example.org", "https://", "//example.org", "javascript:alert(1)"),
    *("https://127.0.0.1/x", "https://[::1]/", "https://localhost/", "https://0/", "https://2130706433/"),
    *("https://0x7f.1/", "https://169.254.169.254/latest", "https://192.0.0.192/", "https://168.63.129.16/"),
    *("https://user:pw@example.org/", "https://example.org/#a", "https://exa mple.org/", "https://\u0435xample.org/"),
    *("https://example.org:0/", "https://example.org:99999/", "https://example.org/\n"),
)


def _webhooks() -> Iterator[RequestInput]:
    for url in _NO_RECEIVERS:
        name = f"to {url.encode('unicode_escape').decode()}"
        yield request(name, "webhooks", put("url", url), Answered((400, 422)), "webhook", most_seconds=30.0)


def _derived_names() -> Iterator[RequestInput]:
    """Yields studies of runs with long names, whose derived names must be readable again."""
    for length in (100, 109, 110, 113, 119, 120):
        long_name = _within_run(put("name", "n" * length))
        yield request(f"of a run with {length} characters", "names of studies", long_name, MADE, "plan")
        for what in ("search", "ablation"):
            expected = MADE if what == "search" else Answered((201, 409))
            name = f"{what}: of a run with {length} characters"
            good = f"{what} of {length}"
            yield RequestInput(name, "names of studies", "POST", PATHS[what], lambda body: body, expected, good)


def _minimal() -> Iterator[RequestInput]:
    kind = "minimal bodies"
    warned = Answered((201,), (r"warnings\W*\[[^\]]*(100,?000|CPU)",))
    yield request("a minimal one on CPUs", kind, _minimal_run, warned)
    yield request("a minimal one on CPUs", kind, lambda body: {"run": _minimal_run(body["run"])}, MADE, "plan")
    absent = Answered((422,), (r"datasets\.labeled",))
    yield request("a dataset that is not there", kind, put("datasets.labeled", "ds-nothing"), absent)
    for part, other in (("validation", "labeled"), ("test", "validation"), ("labeled", "unlabeled")):
        yield request(f"{other} as {part}", kind, _same(part, other), Answered((422,), (r"datasets\.",)))
    unknown = Answered((422,), ("teacher_model",))
    yield request("a model that is not there", kind, put("teacher_model", "resnet_of_mine"), unknown)


def _minimal_run(body: Any) -> Any:
    return {name: body[name] for name in ("name", "datasets", "teacher_model", "student_models")}


def _same(part: str, other: str) -> Callable[[Any], Any]:
    return lambda body: put(f"datasets.{part}", body["datasets"][other])(body)


def _sets() -> Iterator[RequestInput]:
    """Yields datasets that do not fit together. The error must name the shared image or the differing classes."""
    for name, part, other, says in (
        ("an image of the labeled set in test", "test", "shares", ("shares 1 image", r"a\.parquet|row 7|:7|row 0|:0")),
        ("an image of the labeled set in validation", "validation", "shares", ("shares 1 image", r"a\.parquet|:7|:0")),
        ("other classes in test", "test", "other_classes", ("dog", "emu", r"ds-")),
        ("more classes in validation", "validation", "more_classes", ("emu", "fox", r"ds-")),
    ):
        expected = Answered((422,), (rf"datasets\.{part}", *says))
        yield RequestInput(name, "datasets of a run", "POST", "/runs", _with_set(part, other), expected, "sets")


def _with_set(part: str, other: str) -> Callable[[Any], Any]:
    return lambda sets: put(f"datasets.{part}", sets[other])(sets["run"])


def _pages() -> Iterator[RequestInput]:
    """Yields requests for pages: what a browser without a network gets, and what nobody gets."""
    for path in ("/docs", "/", "/ui/runs/{run}", "/ui/runs", "/redoc"):
        status = (200, 307, 404)
        expected = Answered(status, never=(r"""(src|href)=["']?(https?:)?//(?!127\.0\.0\.1|localhost)""",))
        yield RequestInput(path, "pages", "GET", path, lambda _: b"", expected)
    for path in ("/runs/run-nothing", "/runs/%00", "/runs/..%2f..", "/runs/\u732b", "/datasets/ds-nothing", "/nothing"):
        yield RequestInput(path, "pages", "GET", path, lambda _: b"", Answered((404, 422)))
    for query in (
        "limit=0",
        "limit=101",
        "limit=x",
        "cursor=x",
        "cursor=%00",
        "limit=1&limit=2",
        "cursor=" + "a" * 600,
    ):
        may_be = (200, 422) if query == "limit=1&limit=2" else (422,)
        yield RequestInput(f"/runs?{query[:30]}", "pages", "GET", f"/runs?{query}", lambda _: b"", Answered(may_be))
