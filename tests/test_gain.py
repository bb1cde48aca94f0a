"""The gain slider: its numbers over the whole range, its pictures, what it refuses, and the lecture's numbers on the lecture's data."""

import copy
import io
import itertools
import math
import os

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from PIL import Image

from lessons_lib import gain
from lessons_lib.data import Vocabulary, load_names, split
from lessons_lib.gain import Network, describe, panel, slider, strip
from lessons_lib.gain_network import ACTIVATIONS, OUTPUTS, SIZES
from lessons_lib.ngrams import windows
from lessons_lib.training import setup

START = {"gain": 1.0, "activation": "tanh", "depth": 5, "BatchNorm": False, "rate": 0.1}


@pytest.fixture(scope="module", autouse=True)
def as_in_a_lesson():
    setup()  # one thread: on a busy machine two of them wait for each other


def examples(names):
    tape = windows(names, 4, Vocabulary(names))
    return tape[:, :3], tape[:, 3]


@pytest.fixture(scope="module")
def data():
    return examples(load_names())


@pytest.fixture(scope="module")
def network(data):
    return Network(*data)


@pytest.fixture(scope="module")
def small(data):
    """Small enough to try every position."""
    return Network(*data, width=10, batch=16)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# The numbers.


def test_the_numbers_are_those_of_the_same_network_in_torch(network):
    values = START | {"gain": 5 / 3, "depth": 3, "BatchNorm": True}
    n, x, outputs, layers = network.compute(values), network.inputs, [], []
    for W in network.layers[:3]:
        linear = torch.nn.Linear(len(W), 100, bias=False, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(W.T * 5 / 3 / math.sqrt(len(W)))
        x = torch.tanh(torch.nn.BatchNorm1d(100, affine=False, dtype=torch.float64)(linear(x)))
        x.retain_grad()
        outputs.append(x)
        layers.append(linear)
    loss = torch.nn.functional.cross_entropy(x @ network.last * 0.1 / 10, network.targets)
    loss.backward()
    assert n.loss == pytest.approx(loss.item())
    assert n.std == pytest.approx([x.std().item() for x in outputs])
    assert n.gradient_std == pytest.approx([x.grad.std().item() for x in outputs])
    assert n.flat == pytest.approx([(x.abs() > 0.97).double().mean().item() for x in outputs])
    ratios = [(layer.weight.grad.std() / layer.weight.detach().std()).item() for layer in layers]
    assert 10**n.ratio == pytest.approx(ratios)
    assert 10**n.update == pytest.approx([0.1 * ratio for ratio in ratios])


def test_a_histogram_counts_everything_and_what_lies_off_the_axes_at_their_ends(network):
    n = network.compute(START | {"activation": "linear", "gain": 3.0})
    assert n.outputs.shape == n.gradients.shape == (5, len(OUTPUTS) - 1) == (5, len(SIZES) - 1)
    assert n.outputs.sum(1) == pytest.approx(np.ones(5))
    assert n.gradients.sum(1) == pytest.approx(np.ones(5))
    x = network.inputs @ (network.layers[0] * 3 / math.sqrt(30))
    beyond = (x.abs() > 2).double().mean().item()
    inner = ((x.abs() <= 2) & (x.abs() > OUTPUTS[-2])).double().mean().item()
    assert n.outputs[0, [0, -1]].sum() == pytest.approx(beyond + inner, abs=1e-9)
    assert n.beyond > 0.3


def test_a_gradient_of_zero_counts_leftmost(small):
    n = small.compute(START | {"activation": "relu", "gain": 0.1, "depth": 50})
    assert n.gradients[0, 0] == 1
    assert n.std[-1] < 1e-40


def test_smaller_gains_fade_and_larger_ones_saturate(network):
    by_gain = [network.compute(START | {"gain": g}) for g in (0.5, 1.0, 5 / 3, 3.0)]
    assert [n.std[-1] for n in by_gain] == sorted(n.std[-1] for n in by_gain)
    assert [n.flat[-1] for n in by_gain] == sorted(n.flat[-1] for n in by_gain)
    first_to_last = [n.gradient_std[0] / n.gradient_std[-1] for n in by_gain]
    assert first_to_last == sorted(first_to_last)
    assert first_to_last[0] < 0.1 < 3 < first_to_last[-1]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_with_batchnorm_only_the_ratios_move_and_as_one_over_gain_squared(activation, network):
    settings = START | {"activation": activation, "BatchNorm": True}
    by_gain = {g: network.compute(settings | {"gain": g}) for g in (0.1, 0.5, 1.0, 2.0, 5.0)}
    one = by_gain[1.0]
    for g, n in by_gain.items():
        assert 10**n.ratio * g**2 == pytest.approx(10**one.ratio, rel=0.01)
        assert n.std == pytest.approx(one.std, rel=0.01)
        assert n.gradient_std == pytest.approx(one.gradient_std, rel=0.01)
        assert n.loss == pytest.approx(one.loss, abs=1e-3)
    assert not np.allclose(by_gain[5.0].ratio, one.ratio, atol=0.5)


def test_the_rate_moves_nothing_but_the_updates(network):
    slow, fast = (network.compute(START | {"rate": rate}) for rate in (0.01, 1.0))
    assert fast.update == pytest.approx(slow.update + 2)
    assert same(slow._replace(update=fast.update), fast)


def test_every_position_of_every_control_gives_finite_numbers(small):
    options = {control.name: control.options for control in gain.controls()}
    assert options["gain"][0] == 0.1
    assert options["gain"][-1] == 5
    assert {1.0, 5 / 3, math.sqrt(2)} < set(options["gain"])
    view = panel()
    # Every gain, activation and BatchNorm at both ends of the depth; every depth, BatchNorm and rate at both ends of the gain.
    whole = options | {"depth": [2, 50], "rate": [0.1]}
    rest = options | {"gain": [0.1, 5.0], "activation": ["tanh"]}
    choices = [*itertools.product(*whole.values()), *itertools.product(*rest.values())]
    for place, choice in enumerate(choices):
        values = dict(zip(options, choice, strict=True))
        n = small.compute(values)
        for array in (n.outputs, n.gradients, n.flat, n.std, n.gradient_std, np.array(n.loss)):
            assert np.isfinite(array).all(), values
        assert not np.isnan(n.ratio).any(), values
        assert "nan" not in describe(values, n)
        if place % 40 == 0:
            assert len(view.update(n)) > 10_000


def test_fifty_linear_layers_at_gain_five_are_told_in_full(network):
    values = START | {"activation": "linear", "gain": 5.0, "depth": 50}
    n = network.compute(values)
    assert n.std[-1] > 1e34
    assert np.isfinite(n.loss)
    assert "% of what is counted lies off the axes" in describe(values, n)


def test_compute_is_pure(network):
    values = START | {"gain": 2.0}
    before = copy.deepcopy(values)
    first = network.compute(values)
    network.compute(START | {"gain": 0.3, "depth": 20})
    assert same(first, network.compute(values))
    assert values == before


def test_the_same_seed_gives_the_same_network_and_no_global_randomness_is_touched(data):
    state = torch.get_rng_state()
    first, second = (Network(*data, width=10, batch=16).compute(START) for _ in range(2))
    assert same(first, second)
    assert not same(first, Network(*data, width=10, batch=16, seed=6).compute(START))
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"gain": g} for g in (0, -1.0, 0.09, 5.01, 1000, math.nan, math.inf, "1", None, True)),
        *({"depth": d} for d in (1, 51, 1000, 2.5, 5.0, -3, True, "5", None)),
        *({"activation": a} for a in ("sigmoid", "", None, ["tanh"])),
        *({"BatchNorm": b} for b in (1, 0, "on", None)),
        *({"rate": r} for r in (0, -0.1, math.nan, math.inf, 1e9, "0.1", True)),
        {"colour": "red"},
    ],
    ids=str,
)
def test_values_that_are_no_network_of_ours_are_refused_with_a_sentence(wrong, small):
    with pytest.raises(ValueError, match=r"^The [A-Za-z].* .*\.$"):
        small.compute(START | wrong)


def test_a_missing_value_is_named(small):
    values = {name: value for name, value in START.items() if name != "depth"}
    with pytest.raises(ValueError, match="depth"):
        small.compute(values)


@pytest.mark.parametrize(("X", "Y"), [((0, 3), (0,)), ((5,), (5,)), ((5, 3), (4,))])
def test_examples_that_do_not_fit_are_refused(X, Y):
    with pytest.raises(ValueError, match="X is"):
        Network(torch.zeros(X, dtype=torch.int64), torch.zeros(Y, dtype=torch.int64))


def test_fewer_examples_than_a_batch_are_all_taken(data):
    assert len(Network(data[0][:7], data[1][:7], width=10).targets) == 7


# The pictures.


def test_a_panel_shows_nothing_of_what_it_showed_before(small):
    settings = [
        START | {"gain": 3.0, "depth": 50},
        START | {"activation": "linear", "gain": 5.0, "depth": 50},
        START | {"activation": "relu", "gain": 0.1, "depth": 20},
        START | {"BatchNorm": True, "depth": 2},
        START | {"gain": 5 / 3},
    ]
    used = panel()
    for values in settings:
        n = small.compute(values)
        assert used.update(n) == panel().update(n)
    assert used.update(small.compute(settings[0])) != used.update(small.compute(settings[1]))


def test_the_panel_is_shown_at_the_width_of_a_notebook():
    assert panel().size == (720, 480)


def test_all_words_fit_into_the_picture(small):
    view = panel()
    for values in (START, START | {"activation": "linear", "gain": 5.0, "depth": 50}, START | {"gain": 5.0}):
        view.update(small.compute(values))
        for left, right in zip(view.figure.axes[::2], view.figure.axes[1::2], strict=True):
            first, second = (title_box(ax, view) for ax in (left, right))
            assert first.width > 0
            assert first.x0 >= 0
            assert first.x1 < second.x0
            assert second.x1 <= view.figure.bbox.x1


def title_box(axes, view):
    words = axes.get_title(loc="left")
    (title,) = [a for a in axes.get_children() if isinstance(a, Text) and a.get_text() == words]
    return title.get_window_extent(view._canvas.get_renderer())


def test_the_slider_starts_at_gain_one_and_reaches_five_thirds(data):
    widget = slider(*data, width=10, batch=16)
    assert widget.values == START
    widget.set(gain=5 / 3, depth=2)
    assert "2 layers of tanh at gain 5/3 without BatchNorm" in widget.answer["caption"]
    assert widget.answer["problem"] == ""
    assert repr(widget).startswith(
        "Slider: gain 0.1 to 5 (now 5/3); activation tanh, relu, leaky relu, linear"
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_caption_is_one_sentence(activation, small):
    for gain_, norm in itertools.product((0.1, 1.0, 5.0), (False, True)):
        values = START | {"activation": activation, "gain": gain_, "BatchNorm": norm}
        caption = describe(values, small.compute(values))
        assert caption.endswith(".")
        assert ". " not in caption


def test_the_strip_shows_four_gains_and_says_what_they_do(data):
    figure, caption = strip(*data, batch=128)
    assert [ax.get_title(loc="left") for ax in figure.axes[:4]] == [
        "gain 0.5",
        "gain 1",
        "gain 5/3",
        "gain 3",
    ]
    assert ". " not in caption
    assert caption.count(" at gain ") == 4
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=75)
    assert Image.open(file).width == 720


# The lecture's numbers.


@pytest.mark.canonical
@pytest.mark.skipif(not os.environ.get("LESSONS_DATA"), reason="LESSONS_DATA is not set")
@pytest.mark.parametrize(
    ("settings", "first", "last"),
    [
        ({"gain": 0.5}, 0.416, 0.024),
        ({"gain": 1.0}, 0.626, 0.321),
        ({"gain": 5 / 3}, 0.757, 0.657),
        ({"gain": 3.0}, 0.860, 0.839),
        ({"gain": 1.0, "BatchNorm": True}, 0.635, 0.635),
    ],
    ids=str,
)
def test_a_tanh_stack_has_the_spread_measured_in_the_lecture(settings, first, last):
    X, Y = examples(split(load_names("makemore"), distinct=False).train)
    stds = np.mean(
        [Network(X, Y, batch=1024, seed=seed).compute(START | settings).std for seed in range(4)], 0
    )
    assert stds[0] == pytest.approx(
        first, abs=0.015
    )  # other draws of the weights: so much do four of them scatter
    assert stds[-1] == pytest.approx(last, abs=0.015)
