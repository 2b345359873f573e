"""Migrations, on both kinds of database."""

import json
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session

from service.config.run import RunConfig
from service.store.database import Database
from service.store.migrate import MIGRATIONS_FOLDER, upgrade
from service.store.schema.tables import Table
from tests.at_once import at_once
from tests.support.workbench import MakeConfig
from workers.specs.initialization import TeacherInit
from workers.specs.noise import RandAugment
from workers.specs.recipe import Recipe


def test_the_migrations_make_the_tables_that_the_code_expects(empty_database_url: str) -> None:
    upgrade(empty_database_url)

    database = Database(empty_database_url)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Table.metadata)
    database.close()
    assert differences == []


def test_upgrading_twice_changes_nothing(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    upgrade(empty_database_url)

    database = Database(empty_database_url)
    assert set(Table.metadata.tables) < set(inspect(database.engine).get_table_names())
    database.close()


def test_several_processes_may_start_on_an_empty_database_at_once(empty_database_url: str) -> None:
    at_once([lambda: upgrade(empty_database_url)] * 4)

    database = Database(empty_database_url)
    with database.read() as session:
        assert session.execute(text("select count(*) from alembic_version")).scalar_one() == 1
    database.close()


def test_models_get_their_runs_project(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    _migrate_to(database, "0007")
    with database.write() as session:
        for project in ("pets", "cars"):
            _insert(session, "runs", id=project, project=project, name="", config="{}", state="succeeded", priority=0)
            _insert(session, "generations", run_id=project, number=0, state="succeeded", plan="{}")
            columns = {"run_id": project, "generation": 0, "model": "m", "parameters": 1, "uri": "", "kept": False}
            _insert(session, "models", id=f"{project}-g0", validation_top1=0.5, **columns)

    upgrade(empty_database_url)

    with database.read() as session:
        models = session.execute(text("select id, project from models order by id")).all()
        due = session.execute(text("select count(*) from runs where retention_due_at = 0")).scalar_one()
    database.close()
    assert [tuple(model) for model in models] == [("cars-g0", "cars"), ("pets-g0", "pets")]
    assert due == 2, "retention has looked at none of them"


def test_of_the_deliveries_that_wait_the_oldest_of_each_run_keeps_its_time(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    _migrate_to(database, "0008")
    deliveries = [
        ("a", 1, "delivered"), ("a", 2, "pending"), ("a", 3, "pending"),
        ("b", 4, "dead"), ("b", 5, "pending"),
        (None, 6, "pending"), (None, 7, "pending"),
    ]  # fmt: skip
    with database.write() as session:
        for hook in ("hook-1", "hook-2"):
            _insert(session, "webhooks", id=hook, url="", secret="", created_at=1.0, queued_event_id=0)
        for run in ("a", "b"):
            _insert(session, "runs", id=run, project="p", name="", config="{}", state="succeeded", priority=0)
        for run_id, number, state in deliveries:
            _insert(session, "events", id=number, run_id=run_id, at=1.0, kind="k", message="")
            row = {"event_id": number, "run_id": run_id, "state": state, "attempts": 0, "next_attempt_at": 9.0}
            _insert(session, "webhook_deliveries", webhook_id="hook-1", **row)
        # Of another webhook, which has delivered the older events.
        row = {"event_id": 3, "run_id": "a", "state": "pending", "attempts": 0, "next_attempt_at": 9.0}
        _insert(session, "webhook_deliveries", webhook_id="hook-2", **row)

    upgrade(empty_database_url)

    timed = text("select webhook_id, event_id from webhook_deliveries where next_attempt_at is not null order by 1, 2")
    with database.read() as session:
        found = [tuple(row) for row in session.execute(timed)]
    database.close()
    assert found == [("hook-1", 2), ("hook-1", 5), ("hook-1", 6), ("hook-2", 3)]


def test_runs_and_answers_keep_what_they_bear(empty_database_url: str, run_config: MakeConfig) -> None:
    own = {"retry": {"stage_error": 7}, "schedule_timeout_seconds": 60.5, "max_bad_fraction": 0.25}
    plain = run_config().model_dump(mode="json", exclude={"fault_tolerance"})
    stored = {"flat": json.dumps({**plain, **own}), "plain": json.dumps(plain), "broken": "{", "odd": "[1]"}
    database = Database(empty_database_url)
    _migrate_to(database, "0012")
    with database.write() as session:
        for number in range(1001):  # more than one read returns
            stored[f"many-{number:04d}"] = stored["flat"]
        for run, config in stored.items():
            _insert(session, "runs", id=run, project="p", name="", config=config, state="succeeded", priority=0)
        for key, name in (("a run", "config"), ("an estimate", "run"), ("a dataset", "rows")):
            answer = json.dumps({name: {**plain, **own}, "id": key})
            row = {"request_hash": "h", "answer": answer, "created_at": 1.0, "caller": ""}
            _insert(session, "idempotency_keys", key=key, **row)

    upgrade(empty_database_url)

    with database.read() as session:
        configs = {row.id: row.config for row in session.execute(text("select id, config from runs"))}
        answers = {row.key: row.answer for row in session.execute(text("select key, answer from idempotency_keys"))}
    database.close()
    expected = run_config(fault_tolerance=own)
    for run in ("flat", "many-0000", "many-1000"):
        assert RunConfig.model_validate_json(configs[run]) == expected
    assert {run: configs[run] for run in ("plain", "broken", "odd")} == {
        run: stored[run] for run in ("plain", "broken", "odd")
    }
    for key, name in (("a run", "config"), ("an estimate", "run")):
        assert RunConfig.model_validate_json(json.dumps(json.loads(answers[key])[name])) == expected
    assert json.loads(answers["a dataset"])["rows"]["max_bad_fraction"] == 0.25


def test_every_stored_rand_augment_is_on_the_scale_that_there_was(
    empty_database_url: str, run_config: MakeConfig
) -> None:
    plain = run_config().model_dump(mode="json")
    plain["student_recipe"]["noise"]["rand_augment"] = {"n": 1, "m": 14}
    plain["teacher_recipe"]["noise"]["rand_augment"] = None
    trial = {"model": "m", "rand_augment_n": 2, "rand_augment_m": 6, "dropout": 0.1}
    space = {"rand_augment_n": None, "rand_augment_m": None, "dropout": {"low": 0.0, "high": 0.5}}
    database = Database(empty_database_url)
    _migrate_to(database, "0015")
    with database.write() as session:
        for number in range(1001):  # more than one read returns
            config = json.dumps(plain)
            _insert(session, "runs", id=f"{number:04d}", project="p", name="", config=config, state="ok", priority=0)
        plan = json.dumps({"recipe": plain["student_recipe"], "search": {"space": space}})
        _insert(session, "generations", run_id="0001", number=1, state="succeeded", plan=plan)
        result = json.dumps({"outcome": {"trials": [{"parameters": trial}], "recipe": plain["student_recipe"]}})
        row = {"generation": 1, "name": "search", "position": 0, "state": "succeeded", "result": result}
        _insert(session, "stages", run_id="0001", attempts_before_retry=0, **row)
        answer = json.dumps({"config": plain})
        row = {"request_hash": "h", "answer": answer, "created_at": 1.0, "caller": ""}
        _insert(session, "idempotency_keys", key="a run", **row)

    upgrade(empty_database_url)

    with database.read() as session:
        configs = [row.config for row in session.execute(text("select config from runs"))]
        plan = json.loads(session.execute(text("select plan from generations")).scalar_one())
        result = json.loads(session.execute(text("select result from stages")).scalar_one())
        answer = json.loads(session.execute(text("select answer from idempotency_keys")).scalar_one())
    database.close()
    scaled = {"scale": "torchvision", "n": 1, "m": 14}
    recipes = [json.loads(config)["student_recipe"] for config in configs]
    recipes += [plan["recipe"], result["outcome"]["recipe"], answer["config"]["student_recipe"]]
    assert all(recipe["noise"]["rand_augment"] == scaled for recipe in recipes)
    assert len(recipes) == 1004
    assert json.loads(configs[0])["teacher_recipe"]["noise"]["rand_augment"] is None
    assert result["outcome"]["trials"][0]["parameters"] == {**trial, "rand_augment_scale": "torchvision"}
    assert plan["search"]["space"] == space
    assert RunConfig.model_validate_json(configs[0]).student_recipe.noise.rand_augment == RandAugment(
        scale="torchvision", n=1, m=14
    )


def test_gates_and_ablations_of_earlier_versions_go_on_with_the_test_images(
    empty_database_url: str, run_config: MakeConfig
) -> None:
    database = Database(empty_database_url)
    _migrate_to(database, "0017")
    gated = run_config(gate={"conditions": ["top1 >= previous"], "on_failure": "stop"})
    config = gated.model_dump(mode="json")
    del config["gate"]["on"]
    line = {"variant": "full", "test_error": 0.2, "test_error_deviation": None}
    outcome = {"teacher_error": 0.3, "lines": [line], "trainings": [{"variant": "full", "test_top1": 0.8}]}
    with database.write() as session:
        common = {"project": "p", "name": "", "state": "succeeded", "priority": 0}
        _insert(session, "runs", id="gated", config=json.dumps(config), **common)
        _insert(session, "runs", id="free", config=run_config().model_dump_json(), **common)
        plan = json.dumps({"ablation": {"seeds": 3}})
        for number, promoted in enumerate([None, True, False]):
            columns = {"number": number, "state": "succeeded", "plan": plan, "promoted": promoted}
            _insert(session, "generations", run_id="gated", **columns)
        stage = {"run_id": "gated", "generation": 1, "position": 0, "state": "succeeded", "attempts_before_retry": 0}
        _insert(session, "stages", name="ablate", result=json.dumps({"outcome": outcome}), **stage)

    upgrade(empty_database_url)

    with database.read() as session:
        configs = {row.id: row.config for row in session.execute(text("select id, config from runs"))}
        rows = session.execute(text("select gate_on, plan from generations order by number")).all()
        result = json.loads(session.execute(text("select result from stages")).scalar_one())
    database.close()
    assert RunConfig.model_validate_json(configs["gated"]) == run_config(gate={**config["gate"], "on": "test"})
    assert RunConfig.model_validate_json(configs["free"]) == run_config()
    assert [row.gate_on for row in rows] == [None, "test", "test"]
    assert json.loads(rows[0].plan) == {"ablation": {"on": "test", "seeds": 3}}
    assert result["outcome"] == {
        "on": "test",
        "teacher_error": 0.3,
        "lines": [{"variant": "full", "error": 0.2, "error_deviation": None}],
        "trainings": [{"variant": "full", "top1": 0.8}],
    }


def test_stored_selections_repeat_and_keep_what_they_did(empty_database_url: str, run_config: MakeConfig) -> None:
    override = {"student_model": "large", "selection": {"min_confidence": 0.5}}
    config = run_config().model_dump(mode="json")
    for name in ("near_duplicates", "max_copies_per_image"):
        del config["selection"][name]
    config["generation_overrides"] = {"1": override}
    plan = {"selection": {"near_duplicates": "drop"}}
    database = Database(empty_database_url)
    _migrate_to(database, "0018")
    with database.write() as session:
        text_of = json.dumps(config)
        _insert(session, "runs", id="run", config=text_of, project="p", name="", state="succeeded", priority=0)
        _insert(session, "generations", run_id="run", number=1, state="succeeded", plan=json.dumps(plan))

    upgrade(empty_database_url)

    with database.read() as session:
        stored = json.loads(session.execute(text("select config from runs")).scalar_one())
        plans = session.execute(text("select plan from generations")).scalars().all()
    database.close()
    as_before = {"near_duplicates": "report", "max_copies_per_image": None}
    assert stored["selection"] == {**as_before, **config["selection"]}
    assert stored["generation_overrides"]["1"]["selection"] == {**as_before, "min_confidence": 0.5}
    assert json.loads(plans[0])["selection"] == {"max_copies_per_image": None, "near_duplicates": "drop"}


def test_what_stored_recipes_begin_with_becomes_their_init(empty_database_url: str, run_config: MakeConfig) -> None:
    config = run_config().model_dump(mode="json")
    for name, begin_with in (("teacher_recipe", "scratch"), ("student_recipe", "teacher")):
        del config[name]["init"], config[name]["interpolation"]
        config[name]["begin_with"] = begin_with
    student = config["student_recipe"]
    result = {"stage": "search", "outcome": {"recipe": student, "trials": [{"message": "begin_with"}]}}
    database = Database(empty_database_url)
    _migrate_to(database, "0019")
    with database.write() as session:
        text_of, key = json.dumps(config), {"run_id": "run"}
        _insert(
            session, "runs", id="run", config=text_of, project="p", name="begin_with", state="succeeded", priority=0
        )
        _insert(session, "generations", **key, number=1, state="succeeded", plan=json.dumps({"recipe": student}))
        position = {"position": 0, "state": "succeeded", "attempts_before_retry": 0}
        _insert(session, "stages", **key, generation=1, name="search", result=json.dumps(result), **position)

    upgrade(empty_database_url)

    with database.read() as session:
        stored = session.execute(text("select config from runs")).scalar_one()
        plan = json.loads(session.execute(text("select plan from generations")).scalar_one())
        outcome = json.loads(session.execute(text("select result from stages")).scalar_one())["outcome"]
    database.close()
    read = RunConfig.model_validate_json(stored)
    assert read.teacher_recipe == run_config().teacher_recipe
    assert read.student_recipe.init == TeacherInit(kind="teacher", follow=())
    assert read.student_recipe == run_config().student_recipe.model_copy(update={"init": read.student_recipe.init})
    for recipe in (plan["recipe"], outcome["recipe"]):
        assert Recipe.model_validate_json(json.dumps(recipe)) == read.student_recipe
    assert outcome["trials"] == [{"message": "begin_with"}]


def _migrate_to(database: Database, revision: str) -> None:
    with database.write_connection() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS_FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _insert(session: Session, table: str, **values: Any) -> None:
    """Inserts a row into the tables as they were. All times are 1."""
    times = {"runs": ["created_at", "updated_at"], "models": ["created_at"], "attempts": ["created_at"]}.get(table, [])
    values |= dict.fromkeys(times, 1.0) | ({"kind": "run"} if table == "runs" else {})
    names = ", ".join(values)
    session.execute(text(f"insert into {table} ({names}) values ({', '.join(f':{name}' for name in values)})"), values)


def test_what_was_over_before_there_were_tallies_is_counted(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    _migrate_to(database, "0013")
    results = {
        "train": ("succeeded", '{"stage": "train", "images_seen": 700}'),
        "label": ("succeeded", '{"stage": "label", "labeled": 60, "images": 65}'),
        "select": ("succeeded", '{"stage": "select", "kept": 50, "copies": 90}'),
        "evaluate": ("failed", None),
    }
    with database.write() as session:
        for run in ("run-1", "run-2"):
            _insert(session, "runs", id=run, project="pets", name="", config="{}", state="failed", priority=0)
            _insert(session, "generations", run_id=run, number=0, state="failed", plan="{}")
            for position, (stage, (state, result)) in enumerate(results.items()):
                key = {"run_id": run, "generation": 0}
                columns = {"position": position, "state": state, "attempts_before_retry": 0, "result": result}
                _insert(session, "stages", **key, name=stage, **columns)
                reason = "out_of_memory" if state == "failed" else None
                attempt = {"number": 1, "submission_id": f"{run}-{stage}", "state": state, "failure_reason": reason}
                _insert(session, "attempts", **key, stage=stage, **attempt, devices=1.0, log_saved=False)

    upgrade(empty_database_url)

    with database.read() as session:
        rows = session.execute(text("select name, stage, outcome, reason, value from tallies"))
        tallies = {tuple(row[:4]): row[4] for row in rows}
    database.close()
    assert tallies == {
        ("attempts", "train", "succeeded", ""): 2,
        ("attempts", "label", "succeeded", ""): 2,
        ("attempts", "select", "succeeded", ""): 2,
        ("attempts", "evaluate", "failed", "out_of_memory"): 2,
        ("images", "train", "", ""): 1400,
        ("images", "label", "", ""): 120,
        ("images", "select", "", ""): 100,
    }
