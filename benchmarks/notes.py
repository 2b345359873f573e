"""What the figures of a benchmark mean, and where they differ from the paper's: printed below its table."""

NOTES: dict[str, str] = {
    "make benchmark-ablation": (
        "Less is better; a change within its spread says nothing. As in the paper (Xie et al. 2019, section 4 and its "
        "appendix of ablations): a student without any noise, with few unlabeled images a step (ratio 1), of a "
        "smaller model, or without balanced classes is worse. What differs: (1) nearly all of the noise's "
        "worth is RandAugment's; dropout and stochastic depth alone are not seen here, where the paper finds both to "
        "matter: a network of 0.4 million weights trained for a few hundred steps has little to regularise. (2) "
        "Filtering by confidence changes nothing: the digits hold no images from outside of the classes, which is what "
        "the paper filters. (3) Ratio 7 is no better than 3: the pool of 3,400 images is seen many times already. (4) "
        "Starting from the teacher's weights neither helps nor harms, where the paper's students from scratch did "
        "better. (5) Hard labels are about as good as soft ones, as the paper finds within the domain."
    ),
    "make benchmark-robustness": (
        "mCE and mean flip rate are relative to each run's own teacher, as the paper's are to AlexNet: the ratio says "
        "how much of the teacher's is left. The paper's student keeps 62 % of its supervised model's mCE (45.7 to "
        "28.3) and 44 % of its mean flip rate (27.8 to 12.2), after 300 million images."
    ),
    "make benchmark-labeling": (
        "Steady state is above the ceiling of timm's model as it is, for ours folds the batch norms. Missed are, "
        "with the heavy model: the whole stage against that ceiling, for starting the actors takes a tenth and more of "
        "these runs of a minute or two, and as long of one of a week; and a DataLoader loop: it is at its ceiling "
        "itself, the model is all of its time, and without the start ours is 1.2 times as fast."
    ),
    "make benchmark-selection": (
        "The goal of 15 s is missed by about a tenth, on a machine whose speed changes by a quarter. What is left is "
        "the scan of each label file and the writing of the selections."
    ),
    "make benchmark-load": (
        "Met by SQLite's GETs; POST misses the goal by a sixth, PostgreSQL's slowest GET by less than a tenth. API, "
        "reconciler, database and the benchmark's own client share two threads of one core, whose speed changes from "
        "minute to minute; at the load that they just carry, a slower phase is a queue, and the tail says how slow the "
        "phase was. On PostgreSQL each round trip is a wait for Python's lock besides. None of the requests fails, and "
        "a backlog is worked off: docs/decisions/0018."
    ),
    "make soak SOAK_SECONDS=3600": (
        "Not undisturbed: from the 15th to the 57th minute this project's tests ran on the same two cores, the p99 of "
        "POST /runs was 960 ms, and memory grew with the requests that were under way at once. Before, and in the last "
        "six minutes, it was level to about a tenth of a MiB a minute (226.6 to 228.0 MiB of the API in the first ten "
        "minutes, 243.2 to 243.3 in the last six). None of 180,000 requests failed. Memory is PSS, which shares "
        "libraries with what else runs: the figures in between are lower for it."
    ),
    "make benchmark-inputs": (
        "Pictures, folders, Parquet, tars, lists, buckets, bodies and command lines as other programs and people make "
        "them (`benchmarks/inputs`), each with what should come of it: rows that come back through the stages' readers "
        "byte for byte, a warning or a refusal that says the reason, pixels within a mean of 1 of 255 of "
        '`ImageOps.exif_transpose(Image.open(f)).convert("RGB")` in registration, labeling and training. No answer '
        "may be a 500, hold a control character, take minutes, or end the service. Other than Pillow's are pictures "
        "of 16 bits, whose range is kept, and of 32, which are broken. Writers that the project does not install "
        "(pandas, Polars, DuckDB, fastparquet, datasets, webdataset, deltalake) are taken from the Python that "
        "INPUT_WRITERS names."
    ),
}
