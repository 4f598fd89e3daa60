"""What an import costs."""

import subprocess
import sys


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_an_import_is_quick_and_loads_nothing_else():
    heavy = "('numpy', 'PIL', 'pandas', 'polars', 'matplotlib', 'torch', 'tqdm')"
    code = f"import sys, foveate; print([name for name in {heavy} if name in sys.modules])"
    assert run(code) == "[]"
    code = "import time; t = time.process_time(); import foveate; print(time.process_time() - t)"
    assert min(float(run(code)) for _ in range(5)) < 0.1
