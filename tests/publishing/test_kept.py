"""Finished chapters in the store of blocks: whole or not there, of limited size, safe to share."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from collapse.blocks import Arrays, Store
from collapse.publishing.kept import NOTEBOOK, RECORD, contents, pack

KEY = "0" * 40


@pytest.fixture
def made(tmp_path: Path) -> Arrays:
    folder = tmp_path / "made"
    (folder / "figures" / "sub").mkdir(parents=True)
    (folder / NOTEBOOK).write_text("{}")
    (folder / "figures" / "sub" / "one").write_bytes(os.urandom(1000))
    (folder / "figures" / "sub" / "one.npy").write_bytes(b"another")
    return pack(folder, {"seconds": 1.0})


def test_what_was_packed_comes_back(made: Arrays, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.keep_block(KEY, made)
    found = store.block(KEY)
    assert found is not None
    record, files = contents(found)
    assert record == {"seconds": 1.0}
    one = (tmp_path / "made" / "figures" / "sub" / "one").read_bytes()
    assert files == {
        NOTEBOOK: b"{}",
        "figures/sub/one": one,
        "figures/sub/one.npy": b"another",
    }
    assert sorted(path.name for path in store.folder.iterdir()) == [".lock", f"block-{KEY}.npz"]


def test_no_damaged_chapter_is_read(made: Arrays, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.keep_block(KEY, made)
    path = store.folder / f"block-{KEY}.npz"
    whole, wanted, lost = path.read_bytes(), contents(made), 0
    ends = (0, 1, len(whole) // 2, len(whole) - 1)
    turned = range(0, len(whole), 5)  # in its headers, its contents, its directory
    for data in [
        *(whole[:end] for end in ends),
        *(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :] for at in turned),
    ]:
        path.write_bytes(data)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = store.block(KEY)
        lost += found is None
        assert found is None or contents(found) == wanted
        assert (found is None) == any("is no finished work of this key" in str(w) for w in said)
    assert lost > len(turned) / 2


@pytest.mark.parametrize(
    "name", ["../out.txt", "/tmp/out.txt", "figures/../../out.txt", "notes.txt"]
)
def test_what_is_kept_writes_nowhere_else(name: str) -> None:
    def arrays(*names: str) -> Arrays:
        files = dict.fromkeys(names, b"{}") | {RECORD: json.dumps({"seconds": 1.0}).encode()}
        numbered = {str(k): np.frombuffer(data, np.uint8) for k, data in enumerate(files.values())}
        return {"names": np.array(list(files)), **numbered}

    assert contents(arrays(NOTEBOOK, "figures/one.txt"))[1].keys() == {NOTEBOOK, "figures/one.txt"}
    for odd in (arrays(NOTEBOOK, name), arrays(name), {"mean": np.ones(3)}):
        with pytest.raises(ValueError, match="in place of a finished chapter is none"):
            contents(odd)


def test_what_was_not_used_for_longest_makes_room(made: Arrays, tmp_path: Path) -> None:
    keys = [letter * 40 for letter in "abcd"]
    store = Store(tmp_path / "store")
    for time, key in enumerate(keys[:3]):
        store.keep_block(key, made)
        os.utime(store.folder / f"block-{key}.npz", (time, time))
    assert store.block(keys[0]) is not None  # now b was not used for longest
    limited = Store(store.folder, limit=store.size)
    limited.keep_block(keys[3], made)
    assert [key[0] for key in keys if limited.block(key)] == ["a", "d"]  # a fifth of it is room


def test_two_processes_keep_at_once(made: Arrays, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from collapse.blocks import Store\n"
        "from collapse.publishing.kept import pack, contents\n"
        "store = Store(sys.argv[1]); made = pack(Path(sys.argv[2]), {'seconds': 1})\n"
        "for i in range(40): store.keep_block(f'{i:040}', made);"
        " assert contents(store.block(f'{i:040}'))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "store"), str(tmp_path / "made")]
    running = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    store = Store(tmp_path / "store")
    assert all(store.block(f"{i:040}") for i in range(40))
    assert len(list(store.folder.iterdir())) == 41
