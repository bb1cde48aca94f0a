"""`show` gives every picture its words, and `predict` keeps the answer until there is a guess."""

import io

import pytest
from PIL import Image

from lessons_lib import figures


@pytest.fixture
def shown(monkeypatch):
    """What a cell displays: a list of (bundle, metadata)."""
    seen = []
    monkeypatch.setattr(
        figures, "display", lambda bundle, metadata=None, raw=False: seen.append((bundle, metadata))
    )
    return seen


def line():
    figure, axes = figures.new_figure(6, 3)
    axes.plot([1, 2, 3])
    return figure


def test_a_picture_carries_its_caption_and_a_visible_line(shown):
    figures.show(line(), "Three points, up to 3 & no further.")
    (picture, metadata), (words, _) = shown
    assert picture["text/plain"] == words["text/plain"] == "Three points, up to 3 & no further."
    assert metadata["image/png"]["alt"] == picture["text/plain"]
    assert "up to 3 &amp; no further" in words["text/html"]


def test_a_picture_is_sharp_on_a_dense_screen(shown):
    figures.show(line(), "Three points, up to 3.")
    bundle, metadata = shown[0]
    assert Image.open(io.BytesIO(bundle["image/png"])).width == 2 * metadata["image/png"]["width"]


def test_the_same_figure_gives_the_same_bytes(shown):
    figures.show(line(), "Three points, up to 3.")
    figures.show(line(), "Three points, up to 3.")
    assert shown[0][0]["image/png"] == shown[2][0]["image/png"]


def test_a_picture_without_words_is_refused():
    with pytest.raises(ValueError, match="needs a caption"):
        figures.show(line(), "  ")


def test_figures_do_not_enter_pyplot():
    import matplotlib.pyplot as plt

    line()
    assert plt.get_fignums() == []


def test_nothing_is_revealed_before_a_guess(capsys):
    figures.predict("slope", ..., truth=1234.5, unit="coins")
    assert "1234" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("guess", "truth", "words"),
    [
        (11.0, 11.04, "Spot on."),
        (10, 11.04, "Close."),
        (-4, 4.07, "The other sign"),
        (100, 10, "Off by a factor of 10.0."),
        (0, 3, "Not this time."),
        (3, 0, "Not this time."),
        (0, 0, "Spot on."),
        (1e9, 1, "So is almost everyone."),
    ],
)
def test_a_guess_is_answered_in_words(guess, truth, words, capsys):
    figures.predict("slope", guess, truth, unit="coins")
    out = capsys.readouterr().out
    assert words in out
    assert f"it is {truth:.4g} coins" in out


def test_a_guess_is_a_number():
    with pytest.raises(TypeError, match="a guess is one number"):
        figures.predict("slope", "many", 3.0)
