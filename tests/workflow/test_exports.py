from __future__ import annotations

import subprocess
import sys

import werk.workflow


def test_every_exported_name_is_there() -> None:
    assert all(getattr(werk.workflow, name) is not None for name in werk.workflow.__all__)
    assert not hasattr(werk.workflow, "Engin")


def test_declaring_pipelines_and_reading_runs_loads_no_dataframe_library() -> None:
    script = "import sys, werk.workflow; print(sorted({'polars', 'pyarrow', 'numpy', 'pandas'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
