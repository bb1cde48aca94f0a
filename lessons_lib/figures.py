"""How pictures look, and how they are shown: one style, `show` with a caption that is tested, `predict`. No computing here.

A caption is one sentence with the picture's key numbers, computed by the cell. It travels as the picture's plain text, so the
notebook tests compare it although they cannot compare pictures: when a result changes, its caption fails the test. It also
stands under the picture as a line everyone can read, a screen reader included.
"""

import html
import io

import matplotlib
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "CYCLE",
    "GREEN",
    "GREY",
    "INK",
    "ORANGE",
    "PURPLE",
    "STYLE",
    "new_figure",
    "predict",
    "show",
]

# Okabe and Ito's colours (2008): told apart by readers with any kind of colour vision.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
CYCLE = [BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9", "#000000"]
INK, GREY = "#222222", "#767676"

DPI = 150  # drawn at twice the density it is shown at, so that it stays sharp on a dense screen
SHOWN_DPI = 75

STYLE = {
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.size": 10.5,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.prop_cycle": matplotlib.cycler(color=CYCLE),
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#E6E6E6",
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
}
matplotlib.rcParams.update(STYLE)  # for your own plots too, once this module is imported


def new_figure(width=9.6, height=3.6, **layout) -> tuple[Figure, Axes]:
    """A figure of width x height inches in the course's style, and its axes, as `Figure.subplots(**layout)` gives them.

    Made without pyplot: nothing keeps it alive, and nothing is drawn until `show`.
    """
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(**layout)


def show(figure: Figure, caption: str) -> None:
    """Display the figure, with its caption as the picture's text and as a visible line below.

    Raises ValueError on an empty caption: a picture that cannot be read aloud is not finished.
    """
    if not caption.strip():
        raise ValueError("show needs a caption: one sentence with the picture's key numbers")
    buffer = io.BytesIO()
    # The version of matplotlib would stand in the file, and change it for no reason.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    width = round(figure.get_figwidth() * SHOWN_DPI)
    display(
        {"image/png": buffer.getvalue(), "text/plain": caption},
        metadata={"image/png": {"alt": caption, "width": width}},
        raw=True,
    )
    line = f'<p style="font-style:italic;max-width:48em;margin:0 0 .8em">{html.escape(caption)}</p>'
    display({"text/html": line, "text/plain": caption}, raw=True)


def predict(what: str, guess: float, truth: float, unit: str = "") -> None:
    """Compare your guess with the truth; before there is a guess, say nothing about the truth.

    guess: your number, or `...` for none yet. truth: the computed number. unit: printed behind both.
    """
    if guess is ...:
        print(f"{what}: no guess yet. Replace the dots with a number; the answer stays hidden until you do.")
        return
    try:
        guess, truth = float(guess), float(truth)
    except (TypeError, ValueError):
        raise TypeError(f"{what}: a guess is one number, such as 3.5; this is {guess!r}") from None
    unit = f" {unit}" if unit else ""
    print(f"{what}: you said {guess:.4g}{unit}, and it is {truth:.4g}{unit}. {verdict(guess, truth)}")


def verdict(guess: float, truth: float) -> str:
    """How near a guess came, in words."""
    error = abs(guess - truth)
    if error <= 0.02 * abs(truth) or error < 1e-9:
        return "Spot on."
    if error <= 0.25 * abs(truth):
        return "Close."
    if guess * truth < 0:
        return "The other sign: that is worth a second thought."
    if truth == 0 or guess == 0:
        return "Not this time."
    factor = max(abs(guess / truth), abs(truth / guess))
    return (
        f"Off by a factor of {factor:.1f}." if factor < 1000 else "Off by a long way. So is almost everyone."
    )
