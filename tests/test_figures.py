"""`show` gives every picture its words, `predict` keeps the answer until there is a guess, and measurements become pictures."""

import io

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from lessons_lib import figures
from lessons_lib.diagnostics import UpdateRatios, examine


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


# Pictures of what diagnostics measured.


def stack(depth=3, activation=nn.Tanh, gain=1.0):
    torch.manual_seed(0)
    layers = []
    for _ in range(depth):
        layers += [nn.Linear(20, 20, bias=False), activation()]
        nn.init.normal_(layers[-2].weight, std=gain / 20**0.5)
    return nn.Sequential(*layers)


def report_of(model, rate=None):
    generator = torch.Generator().manual_seed(1)
    X, Y = torch.randn(64, 20, generator=generator), torch.randint(20, (64,), generator=generator)
    return examine(model, X, Y, rate=rate)


def watched(model=None, steps=21):
    model = model or stack()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with UpdateRatios(model, optimizer) as ratios:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(torch.eye(20)), torch.arange(20)).backward()
            optimizer.step()
    return ratios


PICTURES = {
    "activations": lambda: figures.activation_histograms(report_of(stack())),
    "activations of ReLU": lambda: figures.activation_histograms(report_of(stack(activation=nn.ReLU))),
    "activations of 20 layers": lambda: figures.activation_histograms(report_of(stack(20))),
    "gradients": lambda: figures.gradient_histograms(report_of(stack())),
    "gradients of 20 layers": lambda: figures.gradient_histograms(report_of(stack(20, gain=0.5))),
    "saturation": lambda: figures.saturation_picture(torch.eye(20) > 0),
    "weights": lambda: figures.weight_ratios(report_of(stack())),
    "weights and rate": lambda: figures.weight_ratios(report_of(stack(), rate=0.1)),
    "weights of 60 layers": lambda: figures.weight_ratios(report_of(stack(60), rate=0.1)),
    "updates": lambda: figures.update_ratios(watched()),
    "updates of 12 layers": lambda: figures.update_ratios(watched(stack(12))),
    "depth": lambda: figures.depth_profile({"gain 1": [0.6, 0.5, 0.4], "gain 3": [0.9, 0.88, 0.86]}),
    "depth of 50 layers": lambda: figures.depth_profile({"gain 0.5": [0.5**n for n in range(1, 51)]}),
}


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_of_measurements_is_one_sentence_and_nothing_is_cut_off(picture):
    figure, caption = PICTURES[picture]()
    assert caption.endswith(".")
    assert ". " not in caption
    assert any(character.isdigit() for character in caption)
    assert all(axes.get_title(loc="left") for axes in figure.axes[:1])
    figure.draw_without_rendering()
    box, whole = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= -0.01
    assert box.y0 >= -0.01
    assert box.x1 <= whole[0] + 0.01
    assert box.y1 <= whole[1] + 0.01
    assert whole[0] == 9.6


def test_the_histograms_say_what_the_spread_does():
    fading, steady = (figures.activation_histograms(report_of(stack(gain=gain))) for gain in (0.3, 2.0))
    stds = [layer.std for layer in report_of(stack(gain=0.3)).layers]
    assert f"falls from {stds[0]:.2f} to {stds[-1]:.2g} over 3 layers" in fading[1]
    assert "stays between" in steady[1]
    assert fading[0].axes[0].get_title(loc="left").startswith("Std falls from")
    _, words = figures.gradient_histograms(report_of(stack(gain=0.3)))
    assert "times smaller in the first layer than in the last" in words


def test_of_a_relu_it_is_said_how_much_is_zero():
    _, words = figures.activation_histograms(report_of(stack(activation=nn.ReLU)))
    most = max(layer.saturated for layer in report_of(stack(activation=nn.ReLU)).layers)
    assert f"at most {most:.1%} of a layer's outputs are 0." in words


def test_beyond_eight_layers_a_bar_takes_the_place_of_the_legend():
    few, many = (figures.activation_histograms(report_of(stack(depth)))[0] for depth in (8, 9))
    assert len(few.axes[0].get_legend().get_texts()) == 8
    assert len(few.axes) == 1
    assert many.axes[0].get_legend() is None
    bar = [label.get_text().split(":")[0] for label in many.axes[1].get_yticklabels()]
    assert bar == ["1 Tanh", "17 Tanh"]


def test_dead_columns_are_counted():
    flags = torch.zeros(8, 10, dtype=torch.bool)
    flags[:, :3] = True
    flags[0, 5] = True
    figure, words = figures.saturation_picture(flags)
    assert (
        words == "31.2% of 8 x 10 outputs are saturated (white), and 3 of 10 units are so for every example."
    )
    assert "3 of 10 units dead" in figure.axes[0].get_title(loc="left")
    assert figures.saturation_picture(flags, "Mine")[0].axes[0].get_title(loc="left") == "Mine"


def test_weights_are_compared_with_gradients_and_where_the_rate_is_known_with_updates():
    plain, rated = report_of(stack()), report_of(stack(), rate=0.1)
    ratios = [weight.ratio for weight in plain.weights]
    _, words = figures.weight_ratios(plain)
    assert words == f"Ratios of 3 weights: gradient : data from {min(ratios):.1e} to {max(ratios):.1e}."
    assert f"update : data from {0.1 * min(ratios):.1e} to" in figures.weight_ratios(rated)[1]
    inside = sum(10**-3.5 <= 0.1 * ratio <= 10**-2.5 for ratio in ratios)
    title = figures.weight_ratios(rated)[0].axes[0].get_title(loc="left")
    assert title == f"{inside} of 3 updates lie in the target band"


def test_weights_without_a_gradient_have_no_dot():
    model = stack()
    model.requires_grad_(False)
    _, words = figures.weight_ratios(report_of(model))
    assert words == "Ratios of 3 weights: gradient : data unknown."


def test_updates_are_told_as_they_end_and_what_never_moved_is_left_out():
    model = stack()
    ratios = watched(model)
    ends = sorted(values[-1] for values in ratios.ratios.values())
    inside = sum(-3.5 <= end <= -2.5 for end in ends)
    _, words = figures.update_ratios(ratios)
    told = f"from 10^{ends[0]:.1f} to 10^{ends[-1]:.1f}, {inside} of 3 in the target band"
    assert words == f"Updates next to their weights over 21 steps: in the end {told}."
    ratios.ratios["0.weight"][-1] = float("-inf")
    assert "inf" not in figures.update_ratios(ratios)[1]
    with pytest.raises(ValueError, match="train some steps first"):
        figures.update_ratios(watched(steps=0))


def test_depth_is_told_for_every_line_and_the_title_names_the_ends():
    profiles = {"gain 0.5": [0.4, 0.1, 0.03], "gain 5/3": [0.75, 0.7, 0.66], "gain 3": [0.5, 0.7, 0.84]}
    figure, words = figures.depth_profile(profiles)
    assert figure.axes[0].get_title(loc="left") == "Std in the last layer: 0.03 (gain 0.5) to 0.84 (gain 3)"
    for told in (
        "0.5 falls from 0.40 to 0.03",
        "5/3 stays between 0.66 and 0.75",
        "3 rises from 0.50 to 0.84",
    ):
        assert f"gain {told}" in words


def test_the_layers_are_coloured_from_dark_to_light():
    colours = figures.depth_colours(5)[:, :3].sum(1)
    assert colours.tolist() == sorted(colours)
    assert figures.depth_colours(1).shape == (1, 4)


def test_one_needle_does_not_flatten_the_other_histograms():
    wide, needle = torch.linspace(-1, 1, 61), torch.linspace(0, 0.001, 61)
    density = torch.full((60,), 0.5)
    _, axes = figures._histograms(
        {"a": (wide, density), "b": (wide, density), "c": (needle, 2000 * density)}, "x"
    )
    assert axes.get_ylim() == (0, 2.5)
    assert "cut off" in axes.get_ylabel()
    assert "cut off" not in figures.activation_histograms(report_of(stack()))[0].axes[0].get_ylabel()
