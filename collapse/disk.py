"""Files of the package's own: written whole or not at all, read in words, and their digest."""

import hashlib
import json
import os
from pathlib import Path

from collapse import checks


def named(path: object, name: str = "path") -> Path:
    """Return the path of a file; raise a ValueError where it is none, or that of a folder."""
    given = checks.path(path, name)
    checks.require(
        not os.path.isdir(given),
        f"{name} must name a file; {checks.brief(str(given))} is a folder.",
    )
    return given


def write(path: object, text: str, name: str = "path") -> Path:
    """Write a file of text in UTF-8: an interruption leaves the old file or the new, no part.

    A link stays one, and the file that it leads to is written; what is no file, such as
    /dev/stdout, is written into as it is. Returns the path.

    Raises
    ------
    ValueError
        Where the path is none, or that of a folder; it names the argument.
    OSError
        Where the system cannot write there.
    """
    given = named(path, name)
    # an open pipe, as /dev/stdout may be, is reached by the name given, and has no other
    device = os.path.exists(given) and not os.path.isfile(given)
    target = given if device else Path(os.path.realpath(given))
    new = target if device else target.with_name(f".{os.urandom(8).hex()}.new")
    try:
        if target.is_file():
            target.open("r+b").close()  # what must not be written is not replaced either
        new.write_text(text, encoding="utf-8", newline="\n")
        if target.is_file():
            new.chmod(target.stat().st_mode)
        if not device:
            new.replace(target)
    except OSError as error:
        error.filename = str(given)  # not the one that takes its place
        raise
    finally:
        if not device:
            new.unlink(missing_ok=True)
    return given


def folder(path: object, name: str = "folder") -> Path:
    """Return the path of a folder, which is made if need be.

    Raises
    ------
    ValueError
        Where none can be made there; it names the argument.
    """
    given = checks.path(path, name, "the path of a folder")
    try:
        given.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        there = isinstance(error, (FileExistsError, NotADirectoryError))
        other = "folder" if name == "folder" else f"folder as {name}"
        raise ValueError(
            f"no folder can be made at {given} ({'there is a file' if there else error.strerror});"
            f" name another {other}."
        ) from error
    return given


def unwritten(failure: OSError) -> str:
    """Return what the system refused, in words."""
    return f"writing {failure.filename or 'its files'}: {failure.strerror or failure}"


def digest(data: bytes) -> str:
    """Return the SHA-256 digest of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def package() -> str:
    """Return the digest of the package's own code and data: with others a run is another run."""
    here = Path(__file__).parent
    own = sorted(path for path in here.rglob("*") if path.is_file() and path.suffix != ".pyc")
    listed = [[str(path.relative_to(here)), digest(path.read_bytes())] for path in own]
    return digest(json.dumps(listed).encode())
