"""Adapters are found by entry point, also those of a folder that joins the import path later."""

from pathlib import Path

import pytest

from werk.core import plugins


def test_an_adapter_on_a_new_folder_of_the_import_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "found_later" not in plugins.known("meter")
    about = tmp_path / "later-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: later\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[werk.meter]\nfound_later = werk.adapters.meter.process:ProcessMeter\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "found_later" in plugins.known("meter")
    assert "process" in plugins.known("meter")
