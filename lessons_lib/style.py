"""The plot style of the course: colours, sizes, and `new_figure`. `figures` offers all of it, too."""

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "CYCLE",
    "DPI",
    "GREEN",
    "GREY",
    "INK",
    "ORANGE",
    "PURPLE",
    "SHOWN_DPI",
    "STYLE",
    "new_figure",
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
