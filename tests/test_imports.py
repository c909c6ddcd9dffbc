"""``import chainrule`` loads NumPy and nothing else that could be slow or missing."""

from __future__ import annotations

import json
import subprocess
import sys

LAZY = [
    *(
        "torch",
        "jax",
        "onnx",
        "safetensors",
        "tensorboardX",
        "scipy",
        "sklearn",
        "pandas",
        "matplotlib",
        "PIL",
        "filelock",
    ),
    *("rich", "typer", "click", "starlette", "uvicorn", "IPython", "anywidget", "pytest", "hypothesis"),
]

PROGRAM = f"""
import json, sys

class Watch:  # sees an attempt even where the library is not installed
    attempts = set()

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {LAZY!r}:
            self.attempts.add(name)

sys.meta_path.insert(0, Watch())
{{statement}}
print(json.dumps(sorted(Watch.attempts)))
"""


def attempts(statement: str) -> list[str]:
    """Names out of LAZY that ``statement`` tries to import in a fresh interpreter, warnings being errors."""
    program = PROGRAM.replace("{statement}", statement)
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return json.loads(run.stdout)


def test_import_chainrule_loads_no_optional_library():
    assert attempts("import chainrule") == []


def test_the_watch_sees_an_import_of_a_missing_library():
    assert "jax" in attempts("try:\n    import jax.numpy\nexcept ImportError:\n    pass")
