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
        "Met: 0.95 of the ceiling, with both models, while all actors are at work; twice Ray's documented pipeline and "
        "1.2 of a DataLoader with the light model; memory. Missed: the whole stage against the ceiling (starting two "
        "actors takes some 12 s of these runs of 45 to 60 s, and as much of one of a week), and with the heavy model "
        "1.88 of Ray's pipeline for 2, and 0.73 of a DataLoader (0.94 without the start) for 1.2. A DataLoader loop "
        "with the heavy model is at the ceiling itself: the model is all of its time, and one process of two threads "
        "shares caches that two processes do not. A single actor of two threads was slower here, 10.9 images/s "
        "against 13.0."
    ),
    "make benchmark-selection": (
        "Missed by some 3 s, with a spread of 2 s: single runs took 15.4 to 19.3 s on a machine whose speed changes "
        "by a quarter. What is left is a scan of each label file (some 3 ms) and the writing of selections (3 ms)."
    ),
}
