"""`werk help`: every code that the source raises is explained, offline and outside any project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from werk.app import codes
from werk.app.commands.help import NO_HINT, WHY, help_on
from werk.core.errors import InputError

# The conformance suites write modules of their own, whose codes stand in text.
OURS = [path for path in codes.modules(codes.PACKAGE) if path.parent.name != "testing"]
TEXT = "".join(path.read_text(encoding="utf-8") for path in OURS)


def test_every_code_in_the_source_is_explained() -> None:
    raised = set(re.findall(r'\bcode(?:: str)? ?= ?"([a-z0-9-]+)"', TEXT)) | {code for _, code, _ in codes.of_server()}
    known = codes.of_commands()
    assert len(raised) > 300
    assert raised - set(known) - {code for _, code, _ in codes.of_server()} == set()
    assert {room for one in known.values() for room in one.rooms} - set(WHY) == set()
    assert [code for code, one in known.items() if not one.says[0]] == []


def test_what_is_explained_is_what_the_error_says(tmp_path: Path) -> None:
    """The sentence, the next step and the exit code of an error that is really raised."""
    ended = werk("status", "--json", cwd=tmp_path)
    said = json.loads(ended.stderr)
    told = json.loads(werk("help", said["code"], "--json", cwd=tmp_path).stdout)
    assert told["code"] == "project-missing"
    assert told["exit_code"] == ended.returncode == 2
    assert any(re.fullmatch(as_pattern(sentence), said["error"]) for sentence in told["means"])
    assert said["hint"] in told["next"]
    assert told["move"].startswith("yours")


def test_most_codes_name_their_own_next_step() -> None:
    explained = [code for code, one in codes.of_commands().items() if one.hints and NO_HINT not in one.hints]
    assert len(explained) >= 0.85 * len(codes.of_commands())


def test_a_refusal_a_failure_and_the_server_s_answer_differ_in_whose_move_it_is() -> None:
    told = {code: help_on(code).record or {} for code in ("four-eyes", "package-tampered", "step-failed", "overloaded")}
    assert len({str(record["move"]) for record in told.values()}) == 4
    assert [record["exit_code"] for record in told.values()] == [3, 1, 1, None]
    assert "HTTP 503" in str(told["overloaded"]["means"])


def test_brackets_and_capitals_are_taken_as_the_terminal_shows_them() -> None:
    assert help_on("[Four-Eyes]").text == help_on("four-eyes").text


def test_a_command_a_group_s_command_and_a_topic() -> None:
    assert "--fresh" in help_on("run").text
    assert "holder's name" in help_on("actor add").text
    listed = {str(row["code"]) for row in help_on("gate").rows or []}
    assert {"gate-failed", "gate-missing"} < listed
    assert all(code.startswith("gate") for code in listed)
    assert "init" in help_on(None).text


def test_an_unknown_word_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match="Did you mean 'gate-failed'") as caught:
        help_on("gate-faild")
    assert caught.value.code == "help-unknown"


def test_a_person_at_a_terminal_is_told_of_it_and_a_log_is_not(tmp_path: Path) -> None:
    assert "werk help" not in werk("status", cwd=tmp_path).stderr
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "werk.app.cli", "status"]
    subprocess.run(command, cwd=tmp_path, stderr=theirs, stdout=subprocess.DEVNULL, check=False, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 4000).decode()
    os.close(ours)
    assert "more: werk help project-missing" in shown


def as_pattern(sentence: str) -> str:
    return "".join(".+" if part.startswith("‹") else re.escape(part) for part in re.split("(‹.*?›)", sentence))


def werk(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "werk.app.cli", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)
