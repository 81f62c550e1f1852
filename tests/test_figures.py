"""The figure bundle: what it writes, that it writes it the same twice, and what it refuses."""

import csv
import hashlib
import json
import re
from fractions import Fraction

import numpy as np
import pytest
from matplotlib.figure import Figure

from collapse.explorers import pictures
from collapse.publishing import figures, plot


def draw(figure):
    ax, other = plot.panels(figure, 2)
    ax.plot([1, 2, 3], [1, 1.25, 1.361], color=plot.colour("augment"))
    plot.mark_limit(ax)
    plot.plot_simulated(other, [1, 2, 3], [1, 1.3, 1.4], [0, 0.01, 0.02], family="subsample")
    plot.label_curve(other, 3, 1.4, "subsample", family="subsample")


NUMBERS = {
    "generation": np.arange(1, 4),
    "ratio": [Fraction(1), Fraction(5, 4), Fraction(49, 36)],
    "simulated": np.array([1.0, 0.1 + 0.2, np.nan]),
    "workflow": ["augment"] * 3,
    "published": [None, 1.2, True],
}


def plain(figure):
    figure.add_subplot().plot([1, 2])


def write(folder, label="ratio", draw=draw, **changed):
    arguments = {
        "numbers": NUMBERS,
        "parameters": {"generations": np.int64(3), "share": Fraction(1, 3)},
        "seed": 5,
        "folder": folder,
    }
    return figures.write(label, draw, **(arguments | changed))


def size(path):
    data = path.read_bytes()
    return tuple(int.from_bytes(data[start : start + 4], "big") for start in (16, 20))


def test_a_bundle_is_pictures_numbers_and_their_origin(tmp_path):
    bundle = write(tmp_path, height=3.0, narrow_height=4.5)
    assert {path.name for path in tmp_path.iterdir()} == set(bundle.files)
    assert set(bundle.files) == {
        "ratio.png",
        "ratio-dark.png",
        "ratio-narrow.png",
        "ratio-narrow-dark.png",
        "ratio.pdf",
        "ratio-narrow.pdf",
        "ratio.svg",
        "ratio.csv",
        "ratio.json",
    }
    assert size(tmp_path / "ratio.png") == size(tmp_path / "ratio-dark.png") == (1360, 600)
    assert (
        size(tmp_path / "ratio-narrow.png")
        == size(tmp_path / "ratio-narrow-dark.png")
        == (660, 900)
    )
    for name, inches in (("ratio.pdf", (6.8, 3.0)), ("ratio-narrow.pdf", (3.3, 4.5))):
        pdf = (tmp_path / name).read_bytes()
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)
        assert pdf.startswith(b"%PDF")
        assert [float(side) / 72 for side in box.groups()] == pytest.approx(inches)
        # every font is in the file, as outlines that can be searched and edited
        assert (
            len(re.findall(rb"/FontFile2 ", pdf)) == len(re.findall(rb"/Subtype /Type0", pdf)) > 0
        )
        assert b"/Type3" not in pdf
        assert rb'/Subject ({"parameters": {"generations": 3, "share": "1/3"}, "seed": 5,' in pdf
    assert "<svg" in (tmp_path / "ratio.svg").read_text()

    rows = list(csv.DictReader((tmp_path / "ratio.csv").read_text().splitlines()))
    assert rows[1] == {
        "generation": "2",
        "ratio": "5/4",
        "simulated": "0.30000000000000004",
        "workflow": "augment",
        "published": "1.2",
    }
    assert rows[2]["simulated"] == "nan"
    assert rows[0]["published"] == ""

    record = json.loads((tmp_path / "ratio.json").read_text())
    assert record["parameters"] == {"generations": 3, "share": "1/3"}
    assert record["seed"] == 5
    assert record["inches"] == {"wide": [6.8, 3.0], "narrow": [3.3, 4.5]}
    assert record["versions"]["numpy"] == np.__version__
    assert set(record["files"]) == set(bundle.files) - {"ratio.json"}
    for name, digest in record["files"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    assert figures.manifest(tmp_path) == {"ratio": record}


def test_text_that_a_spreadsheet_would_compute_is_made_harmless(tmp_path):
    text = [
        "=1+1",
        "+x",
        "-x",
        "@SUM(A1)",
        " =1",
        "\t=1",
        "plain",
        "a=b",
        "-0.5",
        "-1/2",
        "+1e-3",
        "",
    ]
    write(tmp_path, draw=plain, numbers={"=column": text, "exact": [Fraction(-1, 2)] * len(text)})
    header, *rows = csv.reader((tmp_path / "ratio.csv").read_text().splitlines())
    assert header == ["'=column", "exact"]
    assert [row[0] for row in rows[:6]] == [f"'{cell}" for cell in text[:6]]
    assert [row[0] for row in rows[6:]] == text[6:]
    assert rows[0][1] == "-1/2"


def test_the_same_call_gives_the_same_bytes(tmp_path):
    first, second = write(tmp_path / "first"), write(tmp_path / "second")
    for name in first.files:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name


def test_a_readers_own_settings_do_not_matter(tmp_path):
    import matplotlib as mpl

    first = write(tmp_path / "first")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "pink", "lines.linewidth": 9}):
        second = write(tmp_path / "second")
        assert mpl.rcParams["font.size"] == 30
    assert (first.folder / "ratio.svg").read_bytes() == (second.folder / "ratio.svg").read_bytes()


def test_light_and_dark_have_their_own_ground(tmp_path):
    from matplotlib.image import imread

    write(tmp_path)
    corner = {
        name: imread(tmp_path / f"{name}.png")[0, 0, :3] * 255
        for name in ("ratio", "ratio-narrow", "ratio-dark", "ratio-narrow-dark")
    }
    assert {name: tuple(pixel.round().astype(int).tolist()) for name, pixel in corner.items()} == {
        "ratio": (255, 255, 255),
        "ratio-narrow": (255, 255, 255),
        "ratio-dark": (0x14, 0x18, 0x1E),
        "ratio-narrow-dark": (0x14, 0x18, 0x1E),
    }


def test_where_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLLAPSE_FIGURES", raising=False)
    assert write(None, draw=plain).folder == tmp_path / "_figures"
    monkeypatch.setenv("COLLAPSE_FIGURES", str(tmp_path / "there"))
    assert write(None, draw=plain).folder == tmp_path / "there"


def test_jupyter_shows_it_and_the_built_page_does_not(tmp_path, monkeypatch):
    display = pytest.importorskip("IPython.display", reason="the extra 'rerun' brings IPython")
    shown = []
    monkeypatch.setattr(display, "display", shown.append)
    bundle = write(tmp_path, draw=plain)
    monkeypatch.delenv("COLLAPSE_STATIC", raising=False)
    bundle._ipython_display_()
    assert [image.data for image in shown] == [(tmp_path / "ratio.png").read_bytes()]
    monkeypatch.setenv("COLLAPSE_STATIC", "1")
    bundle._ipython_display_()
    assert len(shown) == 1


@pytest.mark.parametrize(
    "label",
    [
        "Ratio",
        "two words",
        "under_score",
        "-ratio",
        "1ratio",
        "ratio-dark",
        "ratio-narrow",
        "../ratio",
        "",
    ],
)
def test_labels_that_are_refused(tmp_path, label):
    with pytest.raises(
        ValueError,
        match=(
            r"expected a label of lower-case words joined by hyphens.*; name the figure after what"
            r" it shows"
        ),
    ):
        write(tmp_path, label)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"numbers": {"x": [1, 2], "y": [1]}},
            "expected columns of one length, but x has 2, y has 1; write one row",
        ),
        ({"numbers": {}}, "expected columns of one length, but there are none"),
        (
            {"numbers": {"x": [[1, 2]]}},
            r"expected numbers, fractions or text in column 'x', got \[1, 2\]; flatten it",
        ),
        (
            {"numbers": {"x": "abc"}},
            "expected a sequence as column 'x', got 'abc'; one value for each row",
        ),
        ({"numbers": {"x": 3}}, "expected a sequence as column 'x', got 3; one value for each row"),
        (
            {"parameters": {"plan": object()}},
            (
                "expected parameters that JSON can hold.*no JSON for object; give a model or a plan"
                " by its name"
            ),
        ),
        ({"parameters": {"limit": float("inf")}}, "expected parameters that JSON can hold"),
        (
            {"seed": 1.5},
            r"seed \(that the numbers were simulated with, or None\) must be a whole number",
        ),
    ],
)
def test_what_is_refused_leaves_no_file(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path, **changed)
    assert list(tmp_path.iterdir()) == []


def test_a_drawing_that_fails_leaves_no_file(tmp_path):
    def broken(figure):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        figures.write(
            "ratio", broken, numbers={"x": [1]}, parameters={}, seed=None, folder=tmp_path
        )
    assert not list(tmp_path.iterdir())
    assert plot.colour("discard") == "#C8102E"


def test_a_manifest_notices_a_missing_file(tmp_path):
    write(tmp_path, draw=plain)
    (tmp_path / "ratio.pdf").unlink()
    with pytest.raises(ValueError, match=r"found no ratio\.pdf; write the figure 'ratio' again"):
        figures.manifest(tmp_path)


def test_the_colophon_says_how_the_page_was_made():
    line = figures.colophon(7)
    assert line._repr_markdown_().startswith("seed 7 · python 3.")
    assert f"numpy {np.__version__}" in line._repr_html_()
    assert "s of CPU time" in repr(line)
    assert '<a href="../CITATION.cff">' in line._repr_html_()
    assert repr(figures.colophon(None)).startswith("no seed")


def luminance(colour):
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hues_stand_out_from_the_ground(theme):
    with plot.style(theme):
        ground = luminance(plot.ground())
        for colour, least in [
            *((plot.colour(family), 3.2) for family in plot.HUES),
            (plot.ink(), 7),
            (plot.muted(), 4.5),
        ]:
            brighter, darker = sorted((luminance(colour), ground), reverse=True)
            assert (brighter + 0.05) / (darker + 0.05) >= least, colour


def test_unknown_themes_and_families_are_refused():
    with (
        pytest.raises(ValueError, match="theme must be one of light, dark; it is 'sepia'"),
        plot.style("sepia"),
    ):
        pass
    with pytest.raises(
        ValueError, match=r"family must be one of real, discard, .*; it is 'augmented'"
    ):
        plot.colour("augmented")


def test_a_risk_is_drawn_as_a_line_or_as_dots():
    import collapse

    plan = collapse.workflows.augment(30)
    figure = Figure()
    with plot.style():
        derived = plot.plot_risk(collapse.derive(plan), figure.add_subplot())
        simulated = plot.plot_risk(
            collapse.simulate(plan, replications=200, rng=1), figure.add_subplot()
        )
    assert [len(line.get_xdata()) for line in derived.lines] == [30]
    assert [line.get_color() for line in derived.lines] == [plot.colour("augment")]
    assert simulated.lines[0].get_marker() == "o"
    assert len(simulated.lines[0].get_xdata()) == 20
    assert (derived.get_xlabel(), derived.get_ylabel()) == ("generation", "risk ratio")


def test_published_values_are_hollow_squares():
    ax = Figure().add_subplot()
    line = plot.plot_published(ax, range(50), range(50), family="discard")
    assert (line.get_marker(), line.get_markerfacecolor(), len(line.get_xdata())) == (
        "s",
        "none",
        20,
    )


@pytest.mark.parametrize("seed", [2**32, -1, 1.5, None, "1"])
def test_a_seed_that_the_frozen_stream_has_not_is_refused(seed: object) -> None:
    with pytest.raises(ValueError, match=r"^seed \(of the stream\) .*(at most|at least 0); it is"):
        pictures.frozen(seed)  # type: ignore[arg-type]
    assert pictures.frozen(2**32 - 1).random_sample() < 1
