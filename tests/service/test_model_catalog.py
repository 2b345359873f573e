"""The catalog of models."""

import json
from pathlib import Path

import pytest

import service.model_catalog as model_catalog
from service.model_catalog import CatalogModel, load_catalog, parameters_with_head


def test_the_catalogue_is_read_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"parameters": 90, "parameters_per_class": 5, "drop_path": True, "dropout": True, "img_size": False}
    path = tmp_path / "timm.json"
    path.write_text(json.dumps({"timm_version": "1", "models": {"tiny": row}}))
    monkeypatch.setattr(model_catalog, "CATALOG_PATH", path)
    load_catalog.cache_clear()

    assert load_catalog() == {"tiny": CatalogModel.model_validate(row)}
    load_catalog.cache_clear()


def test_a_models_size_counts_its_classifier() -> None:
    model = CatalogModel(parameters=90, parameters_per_class=5, drop_path=True, dropout=True, img_size=False)

    assert parameters_with_head(model, num_classes=10) == 140
