"""A folder of finished work: damaged, foreign and unreadable files, limits, full disks."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import collapse
from collapse import models, workflows
from collapse.blocks import Store, default_folder
from collapse.simulation import Experiment

KEY, OTHER = "a" * 40, "b" * 40
ARRAYS = {"mean": np.array([1.0, 2.0]), "lost": np.array([0, 3])}


def same(found: Any, wanted: Any = ARRAYS) -> bool:
    return found.keys() == wanted.keys() and all((found[k] == wanted[k]).all() for k in wanted)


def test_blocks_and_answers_are_kept_and_found_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "made" / "here")
    assert store.block(KEY) is None
    assert store.answer(KEY, dict) is None
    store.keep_block(KEY, ARRAYS)
    store.keep_block(OTHER, ARRAYS)
    again = Store(store.folder)
    assert same(again.block(KEY))
    again.keep_answer(KEY, {"x": [0.1]}, blocks=[KEY])
    assert again.answer(KEY, dict) == {"x": [0.1]}
    assert again.block(KEY) is None
    assert same(again.block(OTHER))
    assert again.size == sum(size for _, size, _ in again.entries()) > 0


def npz(path: Path, **contents: Any) -> None:
    with path.open("wb") as file:
        np.savez(file, **contents)


DAMAGED: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "half-written": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "cut at the end": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "a bit turned": lambda path: path.write_bytes(turned(path.read_bytes())),
    "text": lambda path: path.write_text("something of mine"),
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"key": KEY})),
    "an array alone": lambda path: array(path),
    "an archive of others": lambda path: zipped(path),
    "another's numbers": lambda path: npz(path, key=np.array(OTHER), **ARRAYS),
    "no key": lambda path: npz(path, **ARRAYS),
    "a pickle inside": lambda path: npz(path, key=np.array(KEY), mean=np.array([{}], object)),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


def turned(data: bytes) -> bytes:
    place = data.index(np.float64(2).tobytes())
    return data[:place] + b"\x01" + data[place + 1 :]


def array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.arange(3))


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_or_foreign_block_is_ignored_and_said(what: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep_block(KEY, ARRAYS)
    (path,) = tmp_path.glob("block-*")
    DAMAGED[what](path)
    with pytest.warns(UserWarning, match=rf"{path} is no finished work of this key .*ignored"):
        assert store.block(KEY) is None
    if path.is_dir():
        path.rmdir()
    store.keep_block(KEY, ARRAYS)
    assert same(store.block(KEY))


@pytest.mark.parametrize(
    "text",
    ["", '{"key": "', "[]", "null", f'{{"key": "{OTHER}"}}', f'{{"key": "{KEY}", "answer": 3}}'],
)
def test_a_damaged_or_foreign_answer_is_ignored_and_the_work_done_again(
    text: str, tmp_path: Path
) -> None:
    arguments: dict[str, Any] = {"plan": workflows.augment(3), "replications": 100, "rng": 0}
    first = collapse.simulate(**arguments, folder=tmp_path)
    (path,) = tmp_path.glob("answer-*")
    written = path.read_bytes()
    path.write_text(text.replace(KEY, path.stem.removeprefix("answer-")))
    with pytest.warns(UserWarning, match="is no finished work of this key"):
        again = collapse.simulate(**arguments, folder=tmp_path)
    assert again.to_json() == first.to_json()
    assert path.read_bytes() == written


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_block_is_ignored_and_said(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep_block(KEY, ARRAYS)
    next(tmp_path.glob("block-*")).chmod(0)
    with pytest.warns(UserWarning, match="Permission denied"):
        assert store.block(KEY) is None


def test_a_file_that_the_system_cannot_read_is_ignored_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.keep_block(KEY, ARRAYS)

    def broken(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(np, "load", broken)
    with pytest.warns(UserWarning, match="Permission denied"):
        assert store.block(KEY) is None


def test_beyond_its_limit_what_was_not_used_for_longest_is_removed(tmp_path: Path) -> None:
    keys = [f"{k:040x}" for k in range(6)]
    store = Store(tmp_path)
    for age, key in enumerate(keys[:5]):
        store.keep_block(key, ARRAYS)
        os.utime(tmp_path / f"block-{key}.npz", (age, age))
    each = store.size // 5
    assert store.block(keys[0]) is not None  # is used now
    limited = Store(tmp_path, limit=5 * each)
    limited.keep_block(keys[5], ARRAYS)
    left = {key for key in keys if (tmp_path / f"block-{key}.npz").exists()}
    assert left == {keys[0], keys[3], keys[4], keys[5]}  # 4 of 5: a fifth of the limit is room
    assert limited.size == 4 * each


def test_clear_removes_its_own_files_and_no_others(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep_block(KEY, ARRAYS)
    store.keep_answer(OTHER, {"x": 1})
    begun = tmp_path / f".block-{KEY}.0123.new"
    mine = [tmp_path / name for name in ("answer-mine.json", ".mine.new", "block-1.npz")]
    for file in (begun, *mine):
        file.touch()
    assert store.clear() == 2
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / ".lock", *mine])
    assert store.size == 0


def test_what_was_never_finished_is_removed_in_time(tmp_path: Path) -> None:
    old, new = (tmp_path / f".block-{key}.0123.new" for key in (KEY, OTHER))
    for file in (old, new):
        file.touch()
    os.utime(old, (0, 0))
    Store(tmp_path)
    assert not old.exists()
    assert new.exists()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small file system of its own; skips where that is not allowed."""
    place = tmp_path / "mounted"
    place.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.call(command, stderr=-3):
            pytest.skip("file systems cannot be mounted here (that takes root)")
        return place

    yield mount
    if os.path.ismount(place):
        subprocess.run(["umount", "--lazy", str(place)], check=True)


LONG: dict[str, Any] = {
    "plan": workflows.augment(60),
    "model": models.Normal(0, 1),
    "n": 10,
    "replications": 20_000,
    "rng": 0,
    "quantiles": [0.5],
}
"""Its blocks hold 2.4 MB each."""


def test_a_full_disk_is_said_once_and_the_work_completed(mounted: Any) -> None:
    expected = collapse.simulate(**LONG).to_json()
    folder = mounted("size=64k")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        answer = collapse.simulate(**LONG, folder=folder)
    (said,) = [str(warning.message) for warning in told]
    assert said == (
        f"finished work cannot be kept in {folder} (No space left on device); the work goes on, and"
        " is not kept."
    )
    assert answer.to_json() == expected
    assert [file.name for file in folder.iterdir() if file.name.endswith(".new")] == []


def test_blocks_stay_where_their_answer_finds_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.warns(UserWarning, match="No space left"):
        collapse.simulate(workflows.augment(3), replications=5000, rng=0, folder=tmp_path)
    assert len(list(tmp_path.glob("block-*"))) == len(
        Experiment.asked(workflows.augment(3), None, None, 5000, 0).sizes
    )


def test_a_folder_that_cannot_be_written_in_is_refused(mounted: Any) -> None:
    folder = mounted("ro,size=64k")
    message = f"folder {folder} cannot be written in (Read-only file system); name another."
    with pytest.raises(ValueError, match=r"cannot be written in") as refused:
        collapse.simulate(workflows.augment(3), replications=50, folder=folder)
    assert str(refused.value) == message


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(ValueError, match=r"no folder can be made at .*; name another folder\."):
            Store(folder)


def test_two_processes_write_one_folder_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from collapse.blocks import Store; from tests.blocks.test_store import ARRAYS;"
        "store = Store(sys.argv[1], limit=40_000); sys.stdin.readline();"
        "[store.keep_block(f'{k % 50:040x}', ARRAYS) or store.block(f'{7 * k % 50:040x}')"
        " for k in range(300)]"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in both] == ["", ""]
    store = Store(tmp_path)
    found = [store.block(f"{k:040x}") for k in range(50)]
    assert 0 < sum(block is not None for block in found) < 50
    assert all(block is None or same(block) for block in found)
    assert not list(tmp_path.glob(".*.new"))


def test_where_commands_keep_their_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLLAPSE_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("COLLAPSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_folder() == tmp_path / "cache" / "collapse"


def test_kept_answers_are_the_same_to_the_bit(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {
        "plan": workflows.augment(3),
        "model": models.Bernoulli(0.1),
        "n": 4,
        "replications": 500,
        "rng": 5,
        "quantiles": [0.1, 0.9],
        "covariance": True,
    }
    plain = collapse.simulate(**arguments)
    first, again = (collapse.simulate(**arguments, folder=tmp_path) for _ in range(2))
    assert plain.to_json() == first.to_json() == again.to_json()
    kept = json.loads(next(tmp_path.glob("answer-*")).read_text())
    assert kept["answer"] == json.loads(json.dumps(plain.to_json()))
    fits = [collapse.simulate(**arguments, fits=True, folder=tmp_path).fits for _ in range(2)]
    assert (fits[0] == fits[1]).all()
