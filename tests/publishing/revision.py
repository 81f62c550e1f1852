"""An author's revision, played in a copy of the package and of two chapters."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ("golden", "ecosystems")


@dataclass(frozen=True)
class Author:
    """Somebody who has a checkout, and types commands in it."""

    checkout: Path

    def types(self, *command: str) -> tuple[int, str]:
        """Exit status of a `collapse` command, and what it printed."""
        environment = os.environ | {"PYTHONPATH": str(self.checkout)}
        done = subprocess.run(
            [sys.executable, "-m", "collapse", *command],
            cwd=self.checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.stderr.startswith("Traceback"), done.stderr
        return done.returncode, done.stdout + done.stderr

    def reruns(self, folder: str, *more: str) -> None:
        """Execute the chapters, with the quick parameters where no others are given."""
        quick = ("--settings", "book/fast.toml", "--folder", folder, "--store", "store")
        status, told = self.types("rerun", *CHAPTERS, *quick, *more)
        assert status == 0, told

    def changes(self, file: str, before: str, after: str) -> None:
        """Put one piece of a file in the place of another."""
        path = self.checkout / file
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1
        path.write_text(text.replace(before, after), encoding="utf-8")


def author(folder: Path) -> Author:
    """Copy the package and the chapters into a folder."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "collapse", folder / "collapse", ignore=ignored)
    (folder / "book").mkdir()
    for name in (*(f"{chapter}.md" for chapter in CHAPTERS), "fast.toml"):
        shutil.copyfile(ROOT / "book" / name, folder / "book" / name)
    text = (folder / "book" / "fast.toml").read_text(encoding="utf-8")
    first, *tables = text.split("\n[")
    kept = [table for table in tables if table.split("]")[0] in CHAPTERS]
    (folder / "book" / "fast.toml").write_text("\n[".join([first, *kept]), encoding="utf-8")
    return Author(folder)
