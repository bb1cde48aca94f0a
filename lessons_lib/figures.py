"""How pictures look, and how they are shown: one style, `show` with a caption that is tested, `predict`. No computing here.

A caption is one sentence with the picture's key numbers, computed by the cell. It travels as the picture's plain text, so the
notebook tests compare it although they cannot compare pictures: when a result changes, its caption fails the test. It also
stands under the picture as a line everyone can read, a screen reader included.
"""

import html
import io

import matplotlib
import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lessons_lib.bands import ACTIVATION_STD, SATURATED_AT, UPDATE_RATIO, compared
from lessons_lib.style import BLUE, CYCLE, DPI, GREEN, GREY, INK, ORANGE, PURPLE, SHOWN_DPI, STYLE, new_figure

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
    "activation_histograms",
    "depth_colours",
    "depth_profile",
    "gradient_histograms",
    "new_figure",
    "predict",
    "saturation_picture",
    "show",
    "update_ratios",
    "weight_ratios",
]


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


# Pictures of what `diagnostics` measured. Each returns (figure, caption), for show(*...).

BESIDE = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}  # a legend to the right of the axes


def depth_colours(count: int) -> np.ndarray:
    """(count, 4) a colour for each layer, from dark (first) to light (last)."""
    return matplotlib.colormaps["viridis"](np.linspace(0, 0.9, count))


def activation_histograms(report) -> tuple[Figure, str]:
    """How the outputs of each layer of a `diagnostics.Report` are spread; where all are tanh, the saturated ends are shaded."""
    layers = report.layers
    curves = {f"{layer.label}: std {_short(layer.std)}": layer.activations for layer in layers}
    figure, axes = _histograms(curves, "output of a layer (zeros left out)")
    finding = f"{_course([layer.std for layer in layers])} over {len(layers)} layers"
    axes.set(title=f"Std {finding}")
    most = max((layer.saturated for layer in layers if layer.saturated is not None), default=None)
    kinds = {layer.kind for layer in layers}
    flat = "0" if kinds == {"ReLU"} else "saturated"
    words = "" if most is None else f", and at most {most:.1%} of a layer's outputs are {flat}"
    if kinds == {"Tanh"}:
        for side in (-1, 1):
            axes.axvspan(SATURATED_AT * side, 1.03 * side, color=ORANGE, alpha=0.18, linewidth=0)
        axes.set(xlim=(-1.03, 1.03), xlabel=f"output of a layer (shaded: saturated, beyond {SATURATED_AT})")
    return figure, f"How outputs are spread: their std {finding}{words}."


def gradient_histograms(report) -> tuple[Figure, str]:
    """How the gradients at each layer's outputs are spread, by size, on a logarithmic axis. Zeros and the lowest 1% are left out."""
    layers = [layer for layer in report.layers if layer.gradients is not None]
    curves = {f"{layer.label}: std {layer.gradient_std:.1e}": layer.gradients for layer in layers}
    figure, axes = _histograms(curves, "log10 of the gradient's size at a layer's output")
    axes.set(xlim=(min(_quantile(histogram, 0.01) for histogram in curves.values()), None))
    stds = layers[0].gradient_std, layers[-1].gradient_std
    finding = (
        compared(*stds)
        + f" in the first layer {'as' if compared(*stds) == 'as large' else 'than'} in the last"
    )
    axes.set(title=f"Gradients: {finding}")
    return figure, f"How gradients are spread: {finding}, std {stds[0]:.1e} and {stds[1]:.1e}."


def saturation_picture(flags, title: str | None = None) -> tuple[Figure, str]:
    """Examples by units, white where an output is saturated; a column that is white throughout is a dead unit.

    flags: (N, units) bool, as `diagnostics.saturation` gives them.
    """
    examples, units = flags.shape
    share, dead = flags.double().mean().item(), int(flags.all(0).sum())
    figure, axes = new_figure(9.6, min(5.0, max(2.4, 1.2 + 8.5 * examples / units)))
    axes.imshow(flags.cpu().numpy(), cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.grid(False)
    _whole_numbers(axes.xaxis, axes.yaxis)
    axes.set(
        xlabel="unit",
        ylabel="example",
        title=title or f"{share:.0%} saturated (white), {dead} of {units} units dead",
    )
    words = f"{share:.1%} of {examples} x {units} outputs are saturated (white)"
    return figure, f"{words}, and {dead} of {units} units are so for every example."


def weight_ratios(report) -> tuple[Figure, str]:
    """For each weight how large its gradient is, and its update if the report knows the rate, next to the weight itself."""
    weights, rows, words = report.weights, range(len(report.weights)), []
    kinds = [("gradient : data", "o", BLUE, [w.ratio for w in weights])]
    if any(w.update_ratio for w in weights):
        kinds.append(("update : data", "s", ORANGE, [w.update_ratio for w in weights]))
    figure, axes = new_figure(9.6, min(8.0, 1.3 + 0.32 * len(weights)))
    for label, marker, colour, ratios in kinds:
        known = [(ratio, row) for ratio, row in zip(ratios, rows, strict=True) if ratio]
        axes.plot([x for x, _ in known], [y for _, y in known], marker, color=colour, label=label)
        words.append(f"{label} {f'from {min(known)[0]:.1e} to {max(known)[0]:.1e}' if known else 'unknown'}")
    title = words[0]
    if len(kinds) == 2:
        low, high = (10**x for x in UPDATE_RATIO)
        _band(axes.axvspan, axes.axvline, (low, high), 1e-3, "target for updates")
        title = f"{sum(low <= (w.update_ratio or 0) <= high for w in weights)} of {len(weights)} updates lie in the target band"
    axes.set(xscale="log", xlabel="std of the gradient or update, divided by std of the weights", title=title)
    step = 1 + len(weights) // 25
    axes.set_yticks(rows[::step], [f"{w.name} {'x'.join(map(str, w.shape))}" for w in weights[::step]])
    axes.invert_yaxis()
    axes.legend(**BESIDE)
    return figure, f"Ratios of {len(weights)} weights: {' and '.join(words)}."


def update_ratios(ratios) -> tuple[Figure, str]:
    """How large the updates were during training, next to the weights: a line for each weight of a `diagnostics.UpdateRatios`."""
    figure, axes = new_figure()
    for colour, (name, values) in zip(depth_colours(len(ratios.ratios)), ratios.ratios.items(), strict=True):
        axes.plot(ratios.steps, values, color=colour, label=name, linewidth=1.3)
    _band(axes.axhspan, axes.axhline, UPDATE_RATIO, -3, "target")
    ends = sorted(values[-1] for values in ratios.ratios.values() if values and np.isfinite(values[-1]))
    if not ends:
        raise ValueError("no update has been measured: train some steps first")
    inside = sum(UPDATE_RATIO[0] <= end <= UPDATE_RATIO[1] for end in ends)
    _whole_numbers(axes.xaxis)
    axes.set(xlabel="step", ylabel="log10(std of update / std of weights)")
    axes.set(title=f"In the end {inside} of {len(ends)} updates lie in the target band")
    _name_lines(figure, axes, list(ratios.ratios))
    words = f"from 10^{ends[0]:.1f} to 10^{ends[-1]:.1f}, {inside} of {len(ends)} in the target band"
    return figure, f"Updates next to their weights over {ratios.steps[-1] + 1} steps: in the end {words}."


def depth_profile(profiles: dict, band: tuple[float, float] | None = ACTIVATION_STD) -> tuple[Figure, str]:
    """Std of the outputs against depth, a line for each label -> list of std. band: the target to shade, by default that of tanh."""
    figure, axes = new_figure()
    if band:
        axes.axhspan(*band, color=GREEN, alpha=0.13, linewidth=0, label=f"target, {band[0]} to {band[1]}")
    for label, stds in profiles.items():
        axes.plot(range(1, len(stds) + 1), stds, marker="o" if len(stds) <= 12 else None, label=label)
    low, high = (which(profiles, key=lambda label: profiles[label][-1]) for which in (min, max))
    ends = [f"{_short(profiles[label][-1])} ({label})" for label in dict.fromkeys((low, high))]
    axes.set(
        yscale="log",
        xlabel="layer",
        ylabel="std of the outputs",
        title=f"Std in the last layer: {' to '.join(ends)}",
    )
    _whole_numbers(axes.xaxis)
    if axes.get_ylim()[1] < 20 * axes.get_ylim()[0]:  # too narrow for powers of ten: 0.4, not 4 x 10^-1
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
    axes.legend(**BESIDE)
    courses = "; ".join(f"{label} {_course(stds)}" for label, stds in profiles.items())
    return figure, f"Std of the outputs from the first layer to the last: {courses}."


def _histograms(curves: dict, xlabel: str) -> tuple[Figure, Axes]:
    """A line for each label -> (edges, density)."""
    if not curves:
        raise ValueError("no layer of this report has anything to draw")
    figure, axes = new_figure()
    for (label, (edges, density)), colour in zip(curves.items(), depth_colours(len(curves)), strict=True):
        axes.plot((edges[1:] + edges[:-1]) / 2, density, color=colour, label=label, linewidth=1.5)
    peaks = [density.max().item() for _, density in curves.values()]
    top = min(1.05 * max(peaks), 5 * float(np.median(peaks))) or 1  # one needle must not flatten all others
    axes.set(
        ylim=(0, top), xlabel=xlabel, ylabel="density" if top > max(peaks) else "density (needles cut off)"
    )
    _name_lines(figure, axes, list(curves))
    return figure, axes


def _name_lines(figure: Figure, axes: Axes, labels: list[str]) -> None:
    """A legend for up to 8 lines in the colours of depth, beyond that a colour bar from the first to the last."""
    if len(labels) <= 8:
        axes.legend(**BESIDE, fontsize=9.5)
        return
    colours = matplotlib.colors.ListedColormap(depth_colours(len(labels)))
    bar = figure.colorbar(matplotlib.cm.ScalarMappable(cmap=colours), ax=axes, ticks=[0, 1], pad=0.02)
    bar.ax.set_yticklabels([labels[0], labels[-1]], fontsize=9.5)
    bar.ax.invert_yaxis()


def _whole_numbers(*axis) -> None:
    for each in axis:
        each.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def _band(span, line, band: tuple[float, float], middle: float, label: str) -> None:
    span(*band, color=GREEN, alpha=0.13, linewidth=0, label=label)
    line(middle, color=INK, linewidth=1, linestyle="--", label="a thousandth")


def _quantile(histogram, share: float) -> float:
    edges, density = histogram
    below = (density * (edges[1:] - edges[:-1])).cumsum(0)
    return edges[int((below < share * below[-1]).sum())].item()


def _short(number: float) -> str:
    return f"{number:.2f}" if 0.095 <= number < 100 or number == 0 else f"{number:.2g}"


def _course(values: list[float]) -> str:
    """How a number goes from the first layer to the last, in words."""
    first, last = values[0], values[-1]
    if max(values) <= 1.25 * min(values):
        return f"stays between {_short(min(values))} and {_short(max(values))}"
    return f"{'falls' if last < first else 'rises'} from {_short(first)} to {_short(last)}"
