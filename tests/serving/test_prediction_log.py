"""One prediction is found again among many, whatever has happened to the log."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import orjson
import pytest

from werk.core.errors import Tampered
from werk.serving.prediction_log import PredictionLog, find, read_log


def id_of(number: int) -> str:
    return f"prd_{number:020x}"


def lines(numbers: Iterable[int], **more: object) -> bytes:
    return b"".join(orjson.dumps({"id": id_of(n), "n": n, **more}, option=orjson.OPT_APPEND_NEWLINE) for n in numbers)


def test_any_of_many_is_found_in_any_segment(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, segment_bytes=20_000)
    for start in range(0, 10_000, 100):
        log.append(lines(range(start, start + 100)))
    log.close()
    assert len(list(tmp_path.glob("*.jsonl"))) > 10
    for number in (0, 1, 99, 100, 4_711, 9_999):
        assert find(tmp_path, id_of(number)) == {"id": id_of(number), "n": number}
    assert find(tmp_path, id_of(10_000)) is None


@pytest.mark.parametrize("id", ["", "prd_", "prd_0", "prd_" + "g" * 20, id_of(1) + '"', id_of(1).upper(), "x\n", "\ud800"])
def test_what_is_no_id_is_not_there(tmp_path: Path, id: str) -> None:
    (tmp_path / "1.jsonl").write_bytes(lines([1]))
    assert find(tmp_path, id) is None
    assert find(tmp_path / "nowhere", id_of(1)) is None


def test_two_servers_write_at_once_and_every_line_is_found(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from werk.serving.prediction_log import PredictionLog\n"
        "log = PredictionLog(Path(sys.argv[1]), segment_bytes=3000)\n"
        'for n in range(int(sys.argv[2]), int(sys.argv[2]) + 300): log.append(b\'{"id":"prd_%020x"}\\n\' % n)\n'
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(start)]) for start in (0, 300)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert all(find(tmp_path, id_of(number)) for number in range(600))


def test_a_torn_line_was_never_told_and_one_before_it_is_found(tmp_path: Path) -> None:
    whole = lines([1, 2])
    for cut in range(len(whole) // 2, len(whole)):
        (tmp_path / "1.jsonl").write_bytes(whole[:cut])
        assert find(tmp_path, id_of(1))
        assert find(tmp_path, id_of(2)) is None


def test_a_damaged_line_harms_only_who_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_bytes(lines([1]) + b'{"id":"%s",\n' % id_of(2).encode() + b"\x00\xff\n" + lines([3]))
    assert find(tmp_path, id_of(1))
    assert find(tmp_path, id_of(3))
    with pytest.raises(Tampered, match=id_of(2)):
        find(tmp_path, id_of(2))


def test_the_same_line_twice_is_one_and_two_stories_are_none(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_bytes(lines([1, 1]))
    (tmp_path / "2.jsonl").write_bytes(lines([1]))
    assert find(tmp_path, id_of(1)) == {"id": id_of(1), "n": 1}
    (tmp_path / "2.jsonl").write_bytes(lines([1], other=True))
    with pytest.raises(Tampered, match="Two lines"):
        find(tmp_path, id_of(1))


def test_a_callers_own_text_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    inner = {"id": id_of(2)}
    (tmp_path / "1.jsonl").write_bytes(lines([1], key=inner, text=f'\n{{"id":"{id_of(2)}"'))
    assert find(tmp_path, id_of(2)) is None


def test_a_write_cut_short_leaves_nothing_of_it_behind(tmp_path: Path) -> None:
    """Several lines go in one write; those that fitted must not be there a second time."""
    script = (
        "import resource, sys; from pathlib import Path; from werk.serving.prediction_log import PredictionLog\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "log = PredictionLog(Path(sys.argv[1]))\n"
        'for n in range(20): log.append(b"".join(b\'{"id":%d, "part":%d}\\n\' % (n, m) for m in range(3)))\n'
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    kept = [(line["id"], line["part"]) for line in read_log(tmp_path)]
    assert kept == [(n, m) for n in range(20) for m in range(3)]


@pytest.mark.skipif(os.name != "posix", reason="file rights are POSIX")
def test_only_its_owner_can_read_the_log(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.append(lines([1]))
    log.close()
    (segment,) = tmp_path.glob("*.jsonl")
    assert segment.stat().st_mode & 0o777 == 0o600
