"""Prints tables of the quality of a run's pseudo labels and models. Needs pandas.

python examples/label_quality.py RUN
"""

import sys

from noisy_student import Client, to_dataframe


def main(run_id: str) -> None:
    with Client() as client:
        run = client.runs.get(run_id)
        models = client.models.list(run_id=run_id).to_dataframe()
        print(models[["generation", "model", "parameters", "validation_top1", "test_top1"]].to_string(index=False))

        rows = []
        for generation in run.generation_details:
            selected = next((s.result for s in generation.stages if s.name == "select" and s.result), None)
            judged = next((s.result for s in generation.stages if s.name == "evaluate" and s.result), None)
            if selected is not None:
                labels = (judged or {}).get("pseudo_labels") or {}
                rows.append(
                    {
                        "generation": generation.number,
                        "labeled": selected["images_labeled"],
                        "kept": selected["kept"],
                        # Known only if the run names the true labels in `pseudo_label_truth`.
                        "correct": labels.get("top1"),
                    }
                )
        print(to_dataframe(rows).to_string(index=False))

        last = run.generation_details[-1].number
        metrics = client.stages.metrics(run_id, last, "train").to_dataframe()
        print(metrics.drop(columns=["attempt", "at"]).groupby("step").last().to_string())


if __name__ == "__main__":
    main(*sys.argv[1:])
