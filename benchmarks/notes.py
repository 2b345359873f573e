"""Notes on each benchmark, printed below its table: what the figures mean, and where they differ from the paper's."""

NOTES: dict[str, str] = {
    "make benchmark-ablation": (
        "Lower is better; a change within its spread is not significant. As in the paper (Xie et al. 2019, section 4 "
        "and the ablation appendix), a student is worse without any noise, with few unlabeled images per step (ratio "
        "1), with a smaller model, or without class balance. Five results differ or need an explanation. (1) "
        "RandAugment accounts for nearly all of the noise's benefit. Dropout or stochastic depth alone has no visible "
        "effect here, while the paper finds that both matter: a network of 0.4 million weights trained for a few "
        "hundred steps has little to regularize. (2) Filtering by confidence changes nothing, because the digits "
        "contain no out-of-class images, which the paper's filter removes. (3) Ratio 7 is no better than 3, because "
        "training already repeats the pool of 3,400 images many times. (4) Starting from the teacher's weights neither "
        "helps nor hurts; in the paper, students trained from scratch did better. (5) Hard labels are about as good as "
        "soft ones, as the paper finds for in-domain images."
    ),
    "make benchmark-robustness": (
        "mCE and mean flip rate are relative to each run's own teacher, as the paper's are relative to AlexNet; the "
        "ratio says how much of the teacher's error remains. The paper's student keeps 62 % of its supervised model's "
        "mCE (45.7 to 28.3) and 44 % of its mean flip rate (27.8 to 12.2), after 300 million images."
    ),
    "python -m benchmarks.data_plane.export": (
        "resnet18, efficientnet_b0, mobilenetv3_small_100, convnext_atto and vit_tiny_patch16_224 with random weights, "
        "whose heads are scaled until the logits are as large as a trained model's or larger (17 to 143); 32 "
        "photographs, one alone and the "
        "others at once, by onnxruntime on a CPU. Every export of a user's model is checked the same way, on the "
        "user's pictures."
    ),
    "make benchmark-labeling": (
        "The steady state exceeds the ceiling of timm's unmodified model because our model folds the batch norms. The "
        "heavy model misses two goals. The whole stage stays below that ceiling, because starting the actors takes a "
        "tenth or more of these runs of a minute or two; it would take just as long in a run of a week. The stage also "
        "only matches a DataLoader loop, which is itself at its ceiling because the model takes all of its time; "
        "without the start, ours is 1.2 times as fast."
    ),
    "make benchmark-selection": (
        "Selection misses the goal of 15 s by about a tenth, on a machine whose speed varies by a quarter. The "
        "remaining time goes into scanning each label file and writing the selections."
    ),
    "make benchmark-load": (
        "SQLite's GETs meet the goal. POST misses it by a sixth, and PostgreSQL's slowest GET by less than a tenth. "
        "The API, the reconciler, the database and the benchmark's own client share two threads of one core, whose "
        "speed varies from minute to minute. They can barely carry this load, so a slower phase builds up a queue, and "
        "the tail shows how slow the phase was. On PostgreSQL each round trip also waits for Python's lock. No request "
        "fails, and the API works off its backlog: docs/decisions/0018."
    ),
    "make soak SOAK_SECONDS=3600": (
        "The run was disturbed. From the 15th to the 57th minute, this project's tests ran on the same two cores, the "
        "p99 of POST /runs was 960 ms, and memory grew with the number of requests in flight. Before that, and in the "
        "last six minutes, memory was level to about a tenth of a MiB a minute (226.6 to 228.0 MiB of the API in the "
        "first ten minutes, 243.2 to 243.3 in the last six). None of 180,000 requests failed. Memory is PSS, which "
        "divides shared libraries among all processes that use them, so the figures in between are lower."
    ),
    "make benchmark-inputs": (
        "The inputs are images, folders, Parquet, tars, lists, buckets, bodies and command lines as other programs and "
        "people produce them (`benchmarks/inputs`). Each has an expected outcome: rows that the stages' readers return "
        "byte for byte, a warning or a rejection that gives the reason, or pixels within a mean of 1 of 255 of "
        '`ImageOps.exif_transpose(Image.open(f)).convert("RGB")` in registration, labeling and training. No response '
        "may be a 500, contain a control character, take minutes, or end the service. Two kinds deviate from Pillow: "
        "16-bit images keep their range, and 32-bit images count as broken. The Python named by INPUT_WRITERS "
        "supplies writers that the project does not install (pandas, Polars, DuckDB, fastparquet, datasets, "
        "webdataset, deltalake)."
    ),
}
