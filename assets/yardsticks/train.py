"""Trains a yardstick from nothing: a small LLaVA whose evidence is known.

    python train.py NAME OUT [--threads 2] [--stage STAGE] [--scale 1]

Writes the checkpoint of every stage to OUT/stages, every 50 steps and at its end, and the model to OUT/model. Started again, it
goes on after the last step saved. Encoder and decoder do not need each other: with --stage, two processes can train them at the
same time. With --scale 0.01 every stage has a hundredth of its steps: a trial of the program, not a model. Each stage draws from
a generator of its own seed, so what a stage does depends on nothing but the stages before it.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import yardsticks

SAVE_EVERY = 50


def stage_state(folder, name):
    path = folder / f"{name}.pt"
    return torch.load(path, weights_only=False) if path.exists() else None


def run_stage(trainer, stage, folder):
    """Runs a stage from where it was left."""
    rng = np.random.default_rng(stage.seed)
    torch.manual_seed(stage.seed)
    optimiser = stage.optimiser(trainer)
    history, seconds = [], 0.0
    state = stage_state(folder, stage.name)
    if state:
        trainer.load_state_dict(state["weights"])
        optimiser.load_state_dict(state["optimiser"])
        rng.bit_generator.state = state["rng"]
        history, seconds = state["history"], state["seconds"]
    started, recent = time.process_time() - seconds, []
    while optimiser.step_number < stage.steps:
        done = optimiser.step_number / stage.steps
        recent.append(optimiser.step(stage.loss(trainer, rng, done)))
        if optimiser.step_number % SAVE_EVERY == 0 or optimiser.step_number == stage.steps:
            seconds = time.process_time() - started
            history.append((optimiser.step_number, round(seconds), float(np.mean(recent))))
            print(stage.name, "step %d, %d CPU seconds, loss %.4f" % history[-1], flush=True)
            recent = []
            state = {
                "weights": trainer.state_dict(),
                "optimiser": optimiser.state_dict(),
                "rng": rng.bit_generator.state,
                "history": history,
                "seconds": seconds,
            }
            torch.save(state, folder / f"{stage.name}.tmp")
            (folder / f"{stage.name}.tmp").rename(folder / f"{stage.name}.pt")
    return history


def main():
    parser = argparse.ArgumentParser(description="Trains a yardstick from nothing.")
    parser.add_argument("name", choices=list(yardsticks.ALL))
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stage", help="only this stage, of which those that it builds on are done")
    parser.add_argument("--scale", type=float, default=1, help="factor on the steps of every stage (default 1)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    folder = arguments.out / "stages"
    folder.mkdir(parents=True, exist_ok=True)

    stages = yardsticks.ALL[arguments.name]
    if arguments.stage:
        stages = [s for s in stages if s.name == arguments.stage]
    log = {}
    for stage in stages:
        trainer = yardsticks.trainer(stage.trainer)
        for earlier in stage.after:
            found = stage_state(folder, earlier.name)
            if found is None:
                raise SystemExit(f"{stage.name} builds on {earlier.name}, which has not been trained in {folder}")
            trainer.take(found["weights"], earlier.trains)
        stage = replace(stage, steps=max(1, round(stage.steps * arguments.scale)))
        log[stage.name] = run_stage(trainer, stage, folder)
    if not arguments.stage:
        (arguments.out / "log.json").write_text(json.dumps(log) + "\n")
        trainer.save(arguments.out / "model")


if __name__ == "__main__":
    main()
