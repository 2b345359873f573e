"""Follows the events of all runs, shows the log of each failed attempt, and retries a failed run once.

    python examples/act_on_failures.py [AFTER]

AFTER is the id of the last event already seen; without it, the script starts with new events. Stop it with Ctrl-C.
"""

import sys

from noisy_student import Client, Conflict
from service.views.runs import EventView


def main(after: str | None = None, count: str | None = None) -> None:
    retried: set[str] = set()
    with Client() as client:
        for seen, event in enumerate(client.events.follow(None if after is None else int(after)), start=1):
            if event.kind == "attempt_failed":
                show_log(client, event)
            if event.kind == "run_failed" and event.run_id and event.run_id not in retried:
                retried.add(event.run_id)
                try:
                    client.runs.retry(event.run_id)
                    print(f"{event.run_id}: {event.message}; retried")
                except Conflict as refusal:  # someone else was faster
                    print(refusal)
            if seen == (None if count is None else int(count)):
                return


def show_log(client: Client, event: EventView) -> None:
    assert event.run_id is not None
    assert event.generation is not None
    assert event.stage is not None
    tail = client.stages.logs(event.run_id, event.generation, event.stage, event.attempt, lines=20)
    print(f"{tail.submission_id}: {event.message}")
    print("\n".join(tail.lines) or tail.note)


if __name__ == "__main__":
    main(*sys.argv[1:])
