"""Examples of request bodies, as OpenAPI shows them. Tests parse each."""

from fastapi.openapi.models import Example

DATASET_REQUESTS: dict[str, Example] = {
    "parquet": {
        "summary": "Labeled images in Parquet files",
        "value": {
            "name": "digits, labeled",
            "role": "labeled",
            "uri": "/data/digits/labeled",
            "format": "parquet",
            "image_column": "image",
            "label_column": "label",
        },
    },
    "unlabeled": {
        "summary": "Unlabeled images in tar files (WebDataset)",
        "value": {"name": "web pictures", "role": "unlabeled", "uri": "s3://pictures/web", "format": "webdataset"},
    },
    "uri_list": {
        "summary": "A list of URIs with labels",
        "value": {
            "name": "chosen pictures",
            "role": "labeled",
            "uri": "s3://pictures/chosen.csv",
            "format": "uri_list",
            "image_column": "url",
            "label_column": "class",
        },
    },
    "part": {
        "summary": "The test part of labeled images that have no split",
        "value": {
            "name": "pets, test",
            "role": "evaluation",
            "uri": "/data/pets",
            "part": {"name": "test", "validation_share": 0.1, "test_share": 0.1, "seed": 0},
        },
    },
    "image_folder": {
        "summary": "An evaluation set in class folders",
        "value": {"name": "digits, test", "role": "evaluation", "uri": "/data/digits/test", "format": "image_folder"},
    },
}

LOOK_REQUESTS: dict[str, Example] = {
    "folder": {"summary": "A folder of this machine", "value": {"uri": "/data/pets"}},
    "bucket": {"summary": "A prefix of a bucket", "value": {"uri": "s3://pictures/pets/"}},
}

DATASET_VERSION_REQUESTS: dict[str, Example] = {
    "same_place": {"summary": "What is new where the dataset is", "value": {}},
    "another_place": {"summary": "The files of another folder", "value": {"uri": "s3://pictures/web-2026-07"}},
}

_DATASETS = {
    "labeled": "ds-8a41c0de55",
    "unlabeled": "ds-17c3b0a9e2",
    "validation": "ds-5d20f6b811",
    "test": "ds-c94e7a3307",
}
_DIGITS_RECIPE = {
    "image_size": 28,
    "mean": [0.13, 0.13, 0.13],
    "std": [0.31, 0.31, 0.31],
    "crop": "none",
    "horizontal_flip": False,
    "steps": 600,
    "noise": {"rand_augment": {"scale": "torchvision", "n": 2, "m": 9}, "dropout": 0.3, "drop_path": 0.1},
    "ema_decay": 0.99,
}
RUN_CONFIGS: dict[str, Example] = {
    "digits": {
        "summary": "One teacher and three students on small images",
        "value": {
            "name": "digits",
            "datasets": _DATASETS,
            "teacher_model": "test_resnet",
            "student_models": ["test_resnet"],
            "generations": 3,
            "teacher_recipe": {**_DIGITS_RECIPE, "steps": 1500, "unlabeled_ratio": 0},
            "student_recipe": {**_DIGITS_RECIPE, "unlabeled_ratio": 3},
            "selection": {"min_confidence": 0.3},
            "resources": {"train": {"num_workers": 2}},
            "seed": 1,
        },
    },
    "paper": {
        "summary": "A larger student each generation, with the paper's noise, on GPUs",
        "value": {
            "name": "efficientnet ladder",
            "datasets": _DATASETS,
            "teacher_model": "efficientnet_b0",
            "student_models": ["efficientnet_b1", "efficientnet_b2", "efficientnet_b3"],
            "generations": 3,
            "student_recipe": {
                "image_size": 224,
                "noise": {"rand_augment": {"scale": "torchvision", "n": 2, "m": 12}, "dropout": 0.5, "drop_path": 0.2},
                "unlabeled_ratio": 14,
            },
            "selection": {
                "min_confidence": 0.3,
                "max_per_class": 130000,
                "materialize": {"rows_per_shard": 10000},
            },
            "resources": {
                "train": {"num_workers": 8, "cpus_per_worker": 8, "gpus_per_worker": 1, "loader_processes": 8},
                "label": {"min_actors": 1, "max_actors": 16, "cpus_per_actor": 8, "gpus_per_actor": 1},
            },
        },
    },
}

GENERATION_OVERRIDES: dict[str, Example] = {
    "the same again": {"summary": "Another generation like the previous one", "value": {}},
    "another model": {
        "summary": "A larger student that learns only from more confident labels",
        "value": {"student_model": "efficientnet_b4", "selection": {"min_confidence": 0.6, "max_per_class": 130000}},
    },
}
