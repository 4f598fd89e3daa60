"""What the tests share: the demo model, a scene, and settings for speed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import foveate

DEMO = Path(__file__).resolve().parents[2] / "assets" / "demo"
SCENE = DEMO / "scenes" / "0001.png"
QUESTION = "What color is the star?"


@pytest.fixture(scope="session")
def model():
    return foveate.load(device="cpu", threads=2)


@pytest.fixture(scope="session")
def quick():
    return {"mask_size": 8, "iterations": 1, "steps": 2}


@pytest.fixture(scope="session")
def explained(model, quick):
    return model.explain(SCENE, QUESTION, **quick)


@pytest.fixture(scope="session")
def scene():
    return SCENE


@pytest.fixture(scope="session")
def question():
    return QUESTION


@pytest.fixture(scope="session")
def demo():
    return DEMO


@pytest.fixture(scope="session")
def command():
    """Runs the command of this environment."""

    def run(*arguments, **options):
        program = [sys.executable, "-m", "foveate", *map(os.fspath, arguments)]
        return subprocess.run(program, capture_output=True, text=True, **options)

    return run
