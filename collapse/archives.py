"""Files that the package ships, and files of features that nobody vouches for: nothing in them is
executed, and no claim of a header is taken on trust.
"""

import zipfile
import zlib
from importlib import resources
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from collapse.checks import require
from collapse.disk import digest

Array = NDArray[np.float64]

SHA256 = {
    "alice.txt": "cc660e04a3bef809b5436e822536cafefa278d55fb3639fb3e93665590d6fc0a",
    "titanic.csv": "e30878e34e2a266603c9f69092c5e4004b941878d95539a0b00d99b3972598b3",
    "heart.csv": "3f4df69fe0a78215fd03b0fb5261fa003dfd3b220838c8944b6c7973d28e5f63",
    "published_uci.csv": "4f596ba7401458890355d8c4b4c494ccc3f19e352587450d76c920aea518a1c8",
    "published_normal.csv": "2b4f67beeaaaa11eb480edf79e50448d40c9cf5adc7e0ce3db9e3a2ba467b8f3",
    "published_ssl.csv": "d309a82492ea0eea5955e7156ea939b1dd717245468ce62e3da95f0aca39ef7c",
    "glosses.npz": "dfc2b6cfc2ddea31d06ee162ba49f3cf279644a42968e0d070b62ba6c13ec9c6",
    "fashion.npz": "36fd87bfb05ed8d639724f269fc97e3b458b6523cfb2ef7ba30f2dfe203f9c87",
}

NEEDED = "X_train", "y_train", "X_test", "y_test"
"""Arrays that a file must hold."""

READ = *NEEDED, "classes"
"""Arrays that are read."""

SWOLLEN = 1100
"""Size over compressed size beyond which a file is not honest: no compression by zip is better than
1,032 to 1.
"""

DAMAGED = (zipfile.BadZipFile, zlib.error, SyntaxError, TokenError)
"""What a damaged file ends in beside the common errors; numpy reads a header as Python."""


def read_feature_arrays(
    file: Path | IO[bytes], source: str
) -> tuple[Array, Array, Array, Array, tuple[str, ...]]:
    """Return X, y, X_test, y_test and the names of the classes that an .npz file holds.

    Raises
    ------
    ValueError
        Where it is no such file; one sentence says what is wrong with `source`.
    """
    arrays = _arrays(file, source)
    require(
        [key in arrays for key in NEEDED],
        lambda i: f"{source} has no array {NEEDED[i]}; it must hold {', '.join(NEEDED)}.",
    )
    X, y, X_test, y_test = (_finite(arrays[key], key, source) for key in NEEDED)
    for table, label, what in ((X, y, "train"), (X_test, y_test, "test")):
        require(
            table.ndim == 2 and label.ndim == 1 and len(table) == len(label) and table.size > 0,
            f"{source}: X_{what} must have shape (rows, features) and y_{what} (rows,); they"
            f" have shapes {table.shape} and {label.shape}.",
        )
    require(
        X.shape[1] == X_test.shape[1],
        f"{source}: X_train has {X.shape[1]:,} features, X_test {X_test.shape[1]:,}; encode"
        " both alike.",
    )
    K = len(arrays["classes"]) if "classes" in arrays else int(max(y.max(), 0)) + 1
    for label, what in ((y, "train"), (y_test, "test")):
        require(
            (label >= 0) & (label < K) & (label == np.floor(label)),
            lambda i, label, what: (
                f"{source}: y_{what} must hold classes numbered 0, ..., {K - 1}; it holds"
                f" {label[i]:g}."
            ),
            label,
            what,
        )
    few = f"{source}: at least two classes are needed, each with real rows;"
    require(K > 1, f"{few} there is one class.")
    present = np.isin(np.arange(min(K, len(y) + 1)), y)
    require(present, lambda k: f"{few} class {k} has no real row.")
    return X, y, X_test, y_test, tuple(str(k) for k in arrays.get("classes", np.arange(K)))


def _arrays(file: Path | IO[bytes], source: str) -> dict[str, NDArray[Any]]:
    try:
        # a header may claim what is not there: it is read before anything is allocated
        false = _false_claim(file)
        if false is None:
            if not isinstance(file, Path):
                file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                return {key: stored[key] for key in READ if key in stored}
    except (OSError, ValueError, TypeError, EOFError, RuntimeError, *DAMAGED):
        raise ValueError(
            f"{source} is not an .npz file of plain numbers; write it by numpy.savez or"
            " numpy.savez_compressed."
        ) from None
    except MemoryError:
        raise ValueError(
            f"{source} holds more numbers than there is memory for; keep fewer rows or features."
        ) from None
    raise ValueError(
        f"{source}: {false} claims another size than it has, the file is damaged; write it"
        " again by numpy.savez."
    )


def _false_claim(file: Path | IO[bytes]) -> str | None:
    """Name the array whose header claims another number of bytes than it has, if there is one."""
    form = np.lib.format
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name not in READ:
                continue
            with archive.open(info) as member:
                old = form.read_magic(member) == (1, 0)
                read = form.read_array_header_1_0 if old else form.read_array_header_2_0
                shape, _, dtype = read(member)
                claimed, held = prod(shape) * dtype.itemsize, info.file_size - member.tell()
            swollen = info.file_size > SWOLLEN * (info.compress_size + 1000)
            if swollen or (claimed != held and not dtype.hasobject):
                return name
    return None


def _finite(values: NDArray[Any], name: str, source: str) -> Array:
    require(
        values.dtype.kind in "fiub",
        f"{source}: {name} must hold numbers; its type is {values.dtype}.",
    )
    numbers = values.astype(np.float64)
    odd = np.count_nonzero(~np.isfinite(numbers))
    require(odd == 0, f"{source}: {name} must be finite; {odd:,} of its entries are not.")
    return numbers


def shipped(file: str) -> bytes:
    """Content of a file that the package ships, checked by its SHA-256."""
    path = resources.files("collapse") / "data" / file
    if not path.is_file():
        raise FileNotFoundError(
            f"{file} is missing from the installed package; reinstall collapse-companion."
        )
    content = path.read_bytes()
    require(
        digest(content) == SHA256[file],
        f"{file} differs from the file that was shipped (its SHA-256 is another); reinstall"
        " collapse-companion.",
    )
    return content
