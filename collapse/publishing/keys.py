"""Keys of finished chapters: a digest of all that a chapter's outputs and figures depend on.

Which modules a chapter reaches is read off its import statements and theirs, without running
anything. Too much may be found so, never too little: where a chapter starts other programs or looks
at source code, it depends on everything.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeGuard

from collapse import checks, disk
from collapse.publishing import chapters

FORM = 1
"""Raised when chapters are executed otherwise than before, so that none counts as finished."""
PACKAGE = Path(__file__).parents[1]
TEMPLATE = ".j2"
"""How the name of a page's template ends; it belongs to the module of its name beside it."""
PAGES = {".md", ".ipynb", ".bib"}
"""Files of a book that no chapter reads."""
SENT = 10**7
"""Bytes of such files that are sent with a chapter at most."""
IGNORED = {"__pycache__", "node_modules", "runs", "baselines", "fast.toml", "full.toml"}
"""Names, in a book's folder, of what no chapter reads; nor what is hidden, or begins with "_"."""
DOUBT = re.compile(
    r"^\s*[%!]|\b(subprocess|popen|system|runpy|exec|eval|__import__|importlib|import_module"
    r"|inspect|getsource\w*|__doc__|__file__|doctest|help|linecache)\b|\.\./",
    re.MULTILINE,
)
"""What a chapter's code holds where its imports do not tell all that it depends on."""


@dataclass(frozen=True)
class Module:
    """What one file of Python says of others.

    Attributes
    ----------
    digest : str
        Of its code: comments, docstrings and layout have no part in it.
    names : frozenset of str
        Dotted names that may be modules: what it imports, and texts that look like one.
    words : frozenset of str
        Names that it may ask a package for.
    later : dict of str to str
        Names that it imports when it is asked for them, and the modules where they are.
    parsed : bool
        Whether it is Python: of what is not, its imports cannot be told.
    """

    digest: str
    names: frozenset[str]
    words: frozenset[str]
    later: Mapping[str, str]
    parsed: bool = True


@lru_cache(maxsize=4096)
def module_of(content: bytes, name: str, *, package: bool) -> Module:
    """Read a file of Python; where it cannot be parsed, its digest is that of its bytes."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return Module(disk.digest(content), frozenset(), frozenset(), {}, parsed=False)
    later: dict[str, str] = {}
    if any(isinstance(part, ast.FunctionDef) and part.name == "__getattr__" for part in tree.body):
        for part in tree.body:
            if isinstance(part, (ast.Assign, ast.AnnAssign)) and _is_table(part.value):
                later |= ast.literal_eval(part.value)
                part.value = ast.Constant(None)  # told apart from what is imported at once
    here = name if package else name.rpartition(".")[0]
    names: set[str] = set()
    words: set[str] = set()
    imported = {
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    for node in _without_types(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(here.split(".")[: len(here.split(".")) - node.level + 1])
            base = ".".join(filter(None, [above if node.level else "", node.module]))
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
            words |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= set(re.findall(r"^[\w.]+$", node.value))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            words |= {node.attr} if node.value.id in imported else set()
    for key, value in later.items():  # it is part of what the file says
        tree.body.append(ast.Assign([ast.Name(key)], ast.Constant(value)))
    return Module(disk.digest(_bare(tree)), frozenset(names), frozenset(words), later)


class Inputs:
    """What the chapters of one folder depend on, as it is on disk now.

    Parameters
    ----------
    book : path
        Folder of the chapters; of its other files all but pages count as data, Python files as
        modules.
    settings : mapping of str to str
        What is set in the environment of the kernels.
    package : path
        Folder of the package whose modules are told apart.
    """

    def __init__(
        self, book: Path, settings: Mapping[str, str] | None = None, package: Path = PACKAGE
    ) -> None:
        self.book, self.package = book, package
        self.settings = dict(settings or {})

    def key(self, notebook: Any, values: Mapping[str, Any]) -> str:
        """Return the key of a chapter with these values of parameters."""
        cells = chapters.code_cells(notebook)
        code = [[cell.source, sorted(cell.metadata.get("tags", []))] for cell in cells]
        local = self._local()
        data = {name: _file(path) for name, path in local.items() if path.suffix != ".py"}
        lock = self.book.parent / "requirements.lock"
        parts = [FORM, code, dict(values), self.settings, data, installed(), sys.version]
        parts += [_file(lock) if lock.is_file() else "", self._reached(cells, local.values())]
        return disk.digest(json.dumps(parts, sort_keys=True).encode())[:40]

    def beside(self) -> dict[str, bytes]:
        """Return the files that a chapter may read, by their place in the folder.

        Raises
        ------
        ValueError
            Where they are too many to be sent with each chapter.
        """
        local = self._local()
        size = sum(path.stat().st_size for path in local.values())
        checks.require(
            size <= SENT,
            f"{self.book} holds {size / 1e6:,.0f} MB beside its chapters, and {SENT / 1e6:,.0f} MB"
            " at most are sent with each; keep data where the workers read them, under a path that"
            " is a parameter.",
        )
        return {name: path.read_bytes() for name, path in local.items()}

    def _local(self) -> dict[str, Path]:
        """Data and modules in the folder."""
        return {
            path.relative_to(self.book).as_posix(): path
            for path in _walked(self.book)
            if path.suffix == ".py" or (path.suffix not in PAGES and path.name[0] != "_")
        }

    def _reached(self, cells: list[Any], local: Iterable[Path]) -> dict[str, str]:
        """Digests of the modules that a chapter reaches, and of the data of their packages."""
        text = "\n\n".join(cell.source for cell in cells)
        files = _modules(self.package, self.package.name)
        files |= {path.stem: path for path in local if path.suffix == ".py"}
        chapter = module_of(text.encode(), "", package=False)
        if DOUBT.search(text) or not chapter.parsed:
            return {str(path): _file(path) for path in [*_walked(self.package), *files.values()]}
        named = re.findall(rf"\b{self.package.name}(?:\.\w+)+", text)
        words = {*chapter.words, *re.findall(r"\w+", text)}
        modules = reached({*chapter.names, *named}, words, files)
        digests = {name: found.digest for name, found in modules.items()}
        for path in _walked(self.package):
            owner = next(up for up in path.parents if (up / "__init__.py").is_file())
            name = ".".join([self.package.name, *owner.relative_to(self.package).parts])
            if path.suffix == TEMPLATE and path.with_name(path.name.split(".")[0] + ".py").exists():
                name += "." + path.name.split(".")[0]
            if path.suffix != ".py" and name in modules:
                digests[str(path.relative_to(self.package))] = _file(path)
        return digests


def reached(names: set[str], words: set[str], files: Mapping[str, Path]) -> dict[str, Module]:
    """Return the modules that these names lead to, by their imports.

    Parameters
    ----------
    names : set of str
        Dotted names, of modules or of what they hold.
    words : set of str
        Names that may be asked of a package which imports them only then.
    files : mapping of str to path
        The modules there are.
    """
    found: dict[str, Module] = {}
    asked, words = list(names), set(words)
    while asked:
        parts = asked.pop().split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if name in found or name not in files:
                continue
            path = files[name]
            module = module_of(path.read_bytes(), name, package=path.name == "__init__.py")
            found[name] = module
            asked += module.names
            words |= module.words
        if not asked:
            asked = [
                to
                for module in found.values()
                for key, to in module.later.items()
                if {key, "*"} & words and to in files and to not in found
            ]
    return found


def _is_table(node: ast.expr | None) -> TypeGuard[ast.Dict]:
    """Whether it is a table of names and the modules where they are."""
    return isinstance(node, ast.Dict) and all(
        isinstance(part, ast.Constant) and isinstance(part.value, str)
        for part in [*node.keys, *node.values]
    )


def _without_types(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that stand under `if TYPE_CHECKING:`, and docstrings."""
    for node in ast.iter_child_nodes(tree):
        checking = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not checking and not _is_text(node):
            yield node
            yield from _without_types(node)


def _bare(tree: ast.Module) -> bytes:
    """A module's code as text, without comments, docstrings and layout."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [part for part in node.body if not _is_text(part)]
    return ast.dump(tree).encode()


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _modules(folder: Path, prefix: str) -> dict[str, Path]:
    """Modules of a package, by name."""
    found = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join([prefix, *parts])] = path
    return found


def _walked(folder: Path) -> Iterator[Path]:
    """Files that may be read: what is hidden, ignored, or a run's or an environment's is none."""
    for top, folders, files in os.walk(folder):
        if Path(top) != folder and {".lock", "pyvenv.cfg"} & set(files):
            folders.clear()
            continue
        # files of the package may begin with "_"
        folders[:] = sorted(name for name in folders if name not in IGNORED and name[0] not in "._")
        for name in sorted(files):
            if name not in IGNORED and name[0] != "." and not name.endswith(".pyc"):
                yield Path(top, name)


def _file(path: Path) -> str:
    """Digest of a file, read again only where its size or its time has changed."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=65536)
def _digest(path: Path, size: int, time: int) -> str:
    return disk.digest(path.read_bytes())


@cache
def installed() -> list[str]:
    """Return all distributions that are installed, with versions."""
    return sorted({f"{found.name}=={found.version}" for found in metadata.distributions()})
