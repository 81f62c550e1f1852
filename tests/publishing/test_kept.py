"""The store of finished chapters: whole or not there, of limited size, safe to share."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from collapse.publishing.kept import NOTEBOOK, RECORD, Kept, contents, pack


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    (made / "figures" / "sub").mkdir(parents=True)
    (made / NOTEBOOK).write_text("{}")
    (made / "figures" / "sub" / "one.csv").write_bytes(os.urandom(1000))
    pack(tmp_path / "a.zip", made, {"seconds": 1.0})
    return tmp_path / "a.zip"


def test_what_was_packed_comes_back(archive: Path, tmp_path: Path) -> None:
    store = Kept(tmp_path / "store")
    assert store.read("k") is None
    store.keep("k", archive)
    found = store.read("k")
    assert found is not None
    record, files = found
    assert record["seconds"] == 1.0
    one = (tmp_path / "made" / "figures" / "sub" / "one.csv").read_bytes()
    assert files == {NOTEBOOK: b"{}", "figures/sub/one.csv": one}
    assert sorted(path.name for path in store.folder.iterdir()) == [".lock", "k.zip"]


def test_no_damaged_archive_is_read(archive: Path, tmp_path: Path) -> None:
    store, whole = Kept(tmp_path / "store"), archive.read_bytes()
    for place in range(0, len(whole), 7):  # in its headers, its contents, its directory
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        store.keep("k", archive)
        found = store.read("k")
        assert found is None or found == contents_of(whole, tmp_path)
    for end in (0, 1, len(whole) // 2, len(whole) - 1):
        archive.write_bytes(whole[:end])
        store.keep("k", archive)
        assert store.read("k") is None


def contents_of(whole: bytes, tmp_path: Path) -> object:
    (tmp_path / "whole.zip").write_bytes(whole)
    return contents(tmp_path / "whole.zip")


@pytest.mark.parametrize(
    "name", ["../out.txt", "/tmp/out.txt", "figures/../../out.txt", "notes.txt"]
)
def test_an_archive_writes_nowhere_else(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as packed:
        for file in (NOTEBOOK, name):
            packed.writestr(file, "{}")
        empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        packed.writestr(RECORD, json.dumps({"files": dict.fromkeys((NOTEBOOK, name), empty)}))
    with pytest.raises(ValueError, match="no archive of a finished chapter"):
        contents(tmp_path / "odd.zip")


def test_what_was_not_used_for_longest_makes_room(archive: Path, tmp_path: Path) -> None:
    size = archive.stat().st_size
    store = Kept(tmp_path / "store", limit=3 * size)
    for time, name in enumerate("abc"):
        store.keep(name, archive)
        os.utime(store.folder / f"{name}.zip", (time, time))
    assert store.read("a") is not None  # now b was not used for longest
    store.keep("d", archive)
    assert [name for name in "abcd" if store.read(name)] == ["a", "c", "d"]
    small = Kept(tmp_path / "small", limit=1)
    small.keep("a", archive)
    small.keep("b", archive)
    assert [name for name in "ab" if small.read(name)] == ["b"]


def test_two_processes_keep_at_once(archive: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from collapse.publishing.kept import Kept\n"
        "store = Kept(Path(sys.argv[1]))\n"
        "for i in range(40): store.keep(str(i), Path(sys.argv[2])); assert store.read(str(i))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "store"), str(archive)]
    running = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    store = Kept(tmp_path / "store")
    assert all(store.read(str(i)) for i in range(40))
    assert len(list(store.folder.iterdir())) == 41
