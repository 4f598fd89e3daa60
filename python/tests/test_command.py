"""The command that the package brings."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

import foveate


def test_version_and_help(command):
    found = command("--version")
    assert (found.returncode, found.stdout) == (0, f"foveate {foveate.__version__}\n")
    assert "explain" in command("--help").stdout


def test_the_script_is_the_module():
    script = shutil.which("foveate", path=os.path.dirname(sys.executable))
    assert script is not None
    found = subprocess.run([script, "--version"], capture_output=True, text=True)
    assert found.stdout == f"foveate {foveate.__version__}\n"


def test_errors_have_the_commands_codes(command, tmp_path):
    found = command("explain", "--image", "none.png", "--question", "?", "--out", tmp_path / "out")
    assert found.returncode == 2
    assert found.stderr.startswith("foveate: none.png: ")
    assert command("explain", "--stpes", "1").returncode == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name != "posix", reason="no signals")
def test_a_signal_ends_it_in_order(scene, question, tmp_path):
    out = tmp_path / "out"
    program = [sys.executable, "-m", "foveate", "explain", "--image", scene, "--question", question]
    program += ["--out", out, "--device", "cpu", "--iterations", "10000", "--verbose"]
    process = subprocess.Popen(list(map(str, program)), stderr=subprocess.PIPE, text=True)
    # This note says that the work has begun.
    for line in process.stderr:
        if "threads" in line:
            break
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not out.exists()
