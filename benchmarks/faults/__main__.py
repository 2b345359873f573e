"""`python -m benchmarks.faults --seed S --rounds N` plays N rounds of faults on one stack.

Each round adds a line to build/faults/seed-S.jsonl. The exit code is 1 if something did not hold.
"""

import argparse
import json
import random
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.faults.rounds import Round, play_round, possible_faults, register, small_run
from benchmarks.faults.scene import Scene
from benchmarks.results import row, save

FOLDER = Path("build/faults")
_FAULTS_A_ROUND = 4
_PAUSE_SECONDS = (2.0, 20.0)


def main() -> None:
    """Plays the rounds, then writes the rows."""
    parser = argparse.ArgumentParser(description="Hurts small real runs, and checks what must hold all the same.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--faults", nargs="*", default=None, help="Names of the faults; all by default.")
    options = parser.parse_args()
    shutil.rmtree(FOLDER / "scene", ignore_errors=True)
    rounds = _play(options.seed, options.rounds, options.faults)
    bad = [each for each in rounds if each.complaints]
    command = f"make fault-test SEED={options.seed} ROUNDS={options.rounds}"
    if options.faults is None:
        attempts = sum(each.attempts for each in rounds)
        faults = sum(len(each.faults) for each in rounds)
        save(
            [
                row("faults.runs", [len(rounds)], f"runs, {faults} faults, {attempts} attempts", "", command),
                row("faults.lost_or_doubled", [len(bad)], "runs", "0", command),
            ]
        )
    print(f"{len(rounds)} runs, {len(bad)} with complaints")
    sys.exit(1 if bad else 0)


def _play(seed: int, count: int, only: list[str] | None) -> list[Round]:
    dice = random.Random(seed)
    rounds: list[Round] = []
    log = FOLDER / f"seed-{seed}.jsonl"
    with Scene(FOLDER / "scene") as scene:
        log.write_text("")
        datasets = register(scene, seed)
        names = only or possible_faults(scene)
        deck: list[str] = []
        for number in range(count):
            while len(deck) < _FAULTS_A_ROUND:
                deck += dice.sample(names, len(names))  # every fault occurs once before any occurs again
            drawn, deck = deck[:_FAULTS_A_ROUND], deck[_FAULTS_A_ROUND:]
            played = play_round(scene, small_run(datasets, generations=number % 2), drawn, dice, _PAUSE_SECONDS)
            rounds.append(played)
            with log.open("a") as file:
                file.write(json.dumps({"round": number, "drawn": drawn, **asdict(played)}) + "\n")
            print(f"round {number}: {played.seconds:.0f} s, {played.attempts} attempts, {played.faults}", flush=True)
            for complaint in played.complaints:
                print(f"  DOES NOT HOLD: {complaint}", flush=True)
    return rounds


if __name__ == "__main__":
    main()
