"""Datasets stay below their roots, at registration and again when a stage reads them."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from service.datasets.inspection import DatasetRequest, inspect_dataset
from service.errors import InvalidRequest
from service.settings import Settings
from tests.support.changed_settings import settings_of
from workers.data.dataset_roots import ROOTS_VARIABLE, DatasetRoots, OutsideOfRoots, check_root, stage_environment
from workers.data.shards.shard_readers import read_shard
from workers.entrypoint import reason_of
from workers.specs.datasets import DatasetFormat, DatasetManifest, Shard
from workers.specs.reports import FailureReason
from workers.specs.stages import StageName


@pytest.mark.parametrize(
    ("root", "uri"),
    [
        ("s3://pictures", "s3://pictures/web"),
        ("s3://pictures/web", "s3://pictures/web"),
        ("s3://pictures/web", "s3://pictures/web/a.parquet"),
        ("s3://", "s3://any/thing"),
        ("gs://pictures/a b", "gs://pictures/a%20b/c"),
        ("s3://b/p?region=eu", "s3://b/p/x?region=eu"),
    ],
)
def test_what_lies_below_a_root_is_allowed(root: str, uri: str) -> None:
    DatasetRoots((root,)).check(uri)


@pytest.mark.parametrize(
    ("root", "uri"),
    [
        ("s3://pictures/web", "s3://pictures/website"),
        ("s3://pictures/web", "s3://pictures"),
        ("s3://pictures/web", "s3://other/web"),
        ("s3://pictures", "gs://pictures/web"),
        ("s3://pictures", "s3://user:secret@pictures/web"),
        ("s3://", "s3://user:secret@pictures/web"),
        ("s3://pictures", "s3://pictures/web?endpoint_override=evil.example&scheme=http"),
        ("s3://", "s3://pictures/web?endpoint_override=evil.example"),
        ("s3://pictures", "s3://pictures/../other"),
        ("s3://pictures/web", "s3://pictures/web/%2e%2e/private"),
        ("s3://pictures", "/etc"),
        ("/", "s3://pictures"),
        ("/", "hdfs://somewhere/etc"),
        ("/data", "file://elsewhere/data"),
    ],
)
def test_what_lies_elsewhere_is_refused(root: str, uri: str) -> None:
    with pytest.raises(OutsideOfRoots):
        DatasetRoots((root,)).check(uri)


def test_without_roots_any_local_path_s3_and_gs_are_allowed_and_nothing_else(tmp_path: Path) -> None:
    for uri in (str(tmp_path), f"file://{tmp_path}", "s3://a/b?endpoint_override=x", "gs://a"):
        DatasetRoots().check(uri)
    for uri in ("hdfs://a/b", "http://a/b", "mock://a", str(tmp_path / ".." / "x")):
        with pytest.raises(OutsideOfRoots):
            DatasetRoots().check(uri)
    with pytest.raises(OutsideOfRoots, match=r"datasets\.roots"):
        DatasetRoots(()).check(str(tmp_path))


def test_links_are_followed_before_a_path_is_judged(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "out").symlink_to(outside)
    (tmp_path / "alias").symlink_to(inside)
    roots = DatasetRoots((str(inside),))
    roots.check(str(tmp_path / "alias" / "a"))
    roots.check(f"file://{inside}/a")
    for uri in (str(inside / "out"), str(inside / "out" / "a"), f"file://{inside}/out/a", str(inside) + "side"):
        with pytest.raises(OutsideOfRoots):
            roots.check(uri)


@pytest.mark.parametrize("root", ["", "hdfs://a", "/data/../etc", "s3://a/../b"])
def test_a_root_that_can_hold_nothing_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match=r"datasets\.roots"):
        check_root(root)


def test_registration_refuses_a_folder_with_a_link_that_leads_out(tmp_path: Path) -> None:
    folder, secret = tmp_path / "images", tmp_path / "secret.parquet"
    folder.mkdir()
    pq.write_table(pa.table({"image": pa.array([b"x"], pa.binary())}), secret)
    (folder / "a.parquet").symlink_to(secret)
    request = DatasetRequest(name="d", role="unlabeled", uri=str(folder))
    with pytest.raises(InvalidRequest, match="outside") as refused:
        inspect_dataset(request, "ds-1", str(tmp_path / "parts"), roots=DatasetRoots((str(folder),)))
    assert refused.value.field == "uri"
    assert "a.parquet" in str(refused.value)


@pytest.mark.parametrize("kind", ["parquet", "arrow", "webdataset", "image_folder"])
def test_a_stage_refuses_what_has_become_a_link_since_registration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: DatasetFormat
) -> None:
    folder, outside = tmp_path / "images", tmp_path / "outside"
    folder.mkdir()
    outside.write_bytes(b"secret")
    link = folder / "a.png"
    link.symlink_to(outside)
    shard = (
        Shard(uri=str(folder), rows=1, members=("a.png",)) if kind == "image_folder" else Shard(uri=str(link), rows=1)
    )
    manifest = DatasetManifest(dataset_id="d", role="unlabeled", format=kind, classes=(), rows=1, shards=(shard,))
    for name, value in stage_environment([str(folder)]).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OutsideOfRoots) as refused:
        read_shard(manifest, 0)
    assert str(link) in str(refused.value)
    assert reason_of(refused.value) is FailureReason.USER_ERROR


@pytest.mark.parametrize(
    "entry", ["../secret.png", "{tmp}/secret.png", "link.png", "file://{tmp}/secret.png", "s3://a/b"]
)
def test_a_list_with_an_entry_that_leads_out_is_refused_and_names_its_row(tmp_path: Path, entry: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "good.png").write_bytes(b"x")
    (folder / "list.txt").write_text(f"good.png\n{entry.format(tmp=tmp_path)}\n")
    request = DatasetRequest(name="d", role="unlabeled", uri=str(folder / "list.txt"), format="uri_list")
    with pytest.raises(InvalidRequest, match=r"list\.txt line 2: .*outside"):
        inspect_dataset(request, "ds-1", str(tmp_path / "parts"), roots=DatasetRoots((str(folder),)))


def test_a_member_with_dots_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOTS_VARIABLE, json.dumps([str(tmp_path)]))
    shard = Shard(uri=str(tmp_path / "images"), rows=1, members=("../secret.png",))
    manifest = DatasetManifest(
        dataset_id="d", role="unlabeled", format="image_folder", classes=(), rows=1, shards=(shard,)
    )
    with pytest.raises(OutsideOfRoots, match=r"`\.\.`"):
        read_shard(manifest, 0)


@pytest.fixture
def guarded(tmp_path: Path) -> Settings:
    """Settings with images in one folder and artifacts in another."""
    (tmp_path / "images").mkdir()
    roots = (str(tmp_path / "images"),)
    return settings_of(access__authentication=True, artifact_root=str(tmp_path / "artifacts"), datasets__roots=roots)


def enter_stage(guarded: Settings, stage: StageName, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sets the roots as for the stage's processes, and returns the root's folder."""
    folder = Path(guarded.artifact_root, "runs", "run-1", "gen-1", stage)
    folder.mkdir(parents=True)
    roots = guarded.roots_by_project.of_stage(stage, str(folder), ["default"])
    for name, value in stage_environment(roots).items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.mark.parametrize("stage", ["label", "measure"])
def test_a_stage_refuses_an_image_that_has_become_a_link_to_an_artifact(
    guarded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: StageName
) -> None:
    enter_stage(guarded, stage, monkeypatch)
    others = tmp_path / "artifacts" / "runs" / "run-2"
    others.mkdir(parents=True)
    (others / "part-00000.parquet").write_bytes(b"of another project")
    (tmp_path / "images" / "a.png").symlink_to(others / "part-00000.parquet")
    shard = Shard(uri=str(tmp_path / "images"), rows=1, members=("a.png",))
    manifest = DatasetManifest(
        dataset_id="d", role="unlabeled", format="image_folder", classes=(), rows=1, shards=(shard,)
    )
    with pytest.raises(OutsideOfRoots, match=r"a\.png"):
        read_shard(manifest, 0)


def test_a_list_whose_parts_are_artifacts_is_read_and_its_images_are_checked(
    guarded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tmp_path / "images"
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4)).save(images / name)
    (images / "list.txt").write_text("a.png\nb.png\n")
    request = DatasetRequest(name="d", role="unlabeled", uri=str(images / "list.txt"), format="uri_list")
    parts_uri = str(tmp_path / "artifacts" / "datasets" / "ds-1" / "list")
    manifest = inspect_dataset(request, "ds-1", parts_uri, roots=guarded.roots_by_project.of("default")).manifest
    (images / "b.png").unlink()
    (images / "b.png").symlink_to(tmp_path / "artifacts" / "datasets" / "ds-1" / "list")

    enter_stage(guarded, "label", monkeypatch)
    read = read_shard(manifest, 0)
    assert read.images == [(images / "a.png").read_bytes(), b""]
    assert "outside" in str(read.unreadable[1])


def test_a_plan_reads_the_sample_that_it_lays_into_its_own_folder(
    guarded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = enter_stage(guarded, "measure", monkeypatch) / "part-00000.parquet"
    pq.write_table(pa.table({"image": pa.array([b"x"], pa.binary())}), sample)
    manifest = DatasetManifest(
        dataset_id="d", role="unlabeled", format="parquet", classes=(), rows=1, shards=(Shard(uri=str(sample), rows=1),)
    )
    assert read_shard(manifest, 0).images == [b"x"]


def test_a_stage_without_restrictions_needs_no_environment() -> None:
    assert stage_environment(None) == {}
    assert json.loads(stage_environment([])[ROOTS_VARIABLE]) == []
    assert ROOTS_VARIABLE not in os.environ


def test_anywhere_is_not_where_the_service_keeps_its_own_files(tmp_path: Path) -> None:
    home, bucket = tmp_path / "home", "s3://pictures/artifacts?region=eu"
    roots = DatasetRoots(None, apart_from=(str(home), bucket))
    (tmp_path / "link").symlink_to(home / "artifacts")
    roots.check(str(tmp_path / "home-made"))
    roots.check("s3://pictures/web?region=eu")
    for own in (
        home,
        home / "artifacts" / "runs",
        tmp_path / "link",
        f"file://{home}/x",
        f"{bucket[:-10]}/runs?region=eu",
    ):
        with pytest.raises(OutsideOfRoots, match="own files"):
            roots.check(str(own))


def test_a_folder_around_the_services_own_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    for folder in (tmp_path, tmp_path / "home"):
        pq.write_table(pa.table({"image": [b"x"]}), folder / "a.parquet")
    request = DatasetRequest(name="all", role="unlabeled", uri=str(tmp_path))
    with pytest.raises(InvalidRequest, match="own files"):
        inspect_dataset(request, "ds-1", str(tmp_path / "parts"), roots=DatasetRoots(None, (str(tmp_path / "home"),)))


def test_on_the_machine_of_one_person_datasets_lie_anywhere_but_there(tmp_path: Path) -> None:
    roots = settings_of(home=tmp_path, access__authentication=True, datasets__anywhere=True).roots_by_project.of(
        "default"
    )
    assert roots == DatasetRoots(None, (str(tmp_path), str(tmp_path / "artifacts")))
    assert settings_of(home=tmp_path, access__authentication=True).roots_by_project.of("default") == DatasetRoots(())
    limited = settings_of(
        home=tmp_path, access__authentication=True, datasets__anywhere=True, datasets__roots=("/data",)
    )
    assert limited.roots_by_project.of("default").roots == ("/data",)
