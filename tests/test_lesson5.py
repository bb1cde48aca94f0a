"""What lesson 5 builds in the open equals what the library and torch hold."""

import math
from pathlib import Path

import pytest
import solutions
import torch
from torch import nn

from lessons_lib import diagnostics, layers

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "05_init_and_batchnorm.ipynb"


@pytest.fixture(scope="module")
def lesson():
    """The lesson's functions and classes, as its cells define them: imports and definitions, and nothing that runs."""
    return solutions.definitions(NOTEBOOK)


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(27, (64, 3), generator=generator), torch.randint(27, (64,), generator=generator)


@pytest.mark.parametrize("gain", [0.5, 5 / 3])
def test_its_hooks_measure_what_the_instruments_measure(lesson, batch, gain):
    model = lesson["deep"](gain, depth=5)
    by_hooks = lesson["spreads"](model, batch[0])
    report = diagnostics.examine(model, *batch)
    assert by_hooks == pytest.approx([std for _, std in diagnostics.stds(model, batch[0])], rel=1e-5)
    assert by_hooks == pytest.approx([layer.std for layer in report.layers], rel=1e-5)
    gradients = lesson["gradient_spreads"](model, *batch)
    assert gradients == pytest.approx([layer.gradient_std for layer in report.layers], rel=1e-4)


def test_its_hooks_are_gone_afterwards_and_so_are_the_gradients(lesson, batch):
    model = lesson["deep"](1.0, depth=3)
    lesson["spreads"](model, batch[0])
    lesson["gradient_spreads"](model, *batch)
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_its_residual_layer_is_the_librarys(lesson):
    inner, x = nn.Linear(5, 5), torch.randn(4, 5)
    assert torch.equal(lesson["Residual"](inner)(x), layers.Residual(inner)(x))


def test_behind_batchnorm_a_gain_is_a_rate(lesson):
    """The lesson divides the step of the hidden weights by the square of the ratio of the gains, and nothing is left of them."""
    generator = torch.Generator().manual_seed(0)
    X, Y = torch.randint(27, (256, 3), generator=generator), torch.randint(27, (256,), generator=generator)
    losses = {}
    for gain, factor in ((5 / 3, 1.0), (0.5, 0.09), (0.5, 1.0)):
        model = lesson["deep_normed"](gain, depth=4).double()
        for part in model:
            if isinstance(part, nn.Linear) and part.out_features == 100:
                part.weight.register_hook(lambda gradient, factor=factor: gradient * factor)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(20):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(X), Y)
            loss.backward()
            optimizer.step()
        losses[gain, factor] = loss.item()
    assert losses[0.5, 0.09] == pytest.approx(losses[5 / 3, 1.0], abs=1e-3)
    assert abs(losses[0.5, 1.0] - losses[5 / 3, 1.0]) > 0.02


def test_every_layer_of_the_shelf_is_found_the_same_and_a_broken_one_is_not(lesson):
    x = torch.randn(32, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    same = lesson["same"]
    for ours, theirs in (
        (lesson["Linear"](12, 5), nn.Linear(12, 5)),
        (lesson["BatchNorm1d"](12), nn.BatchNorm1d(12)),
        (lesson["LayerNorm"](12), nn.LayerNorm(12)),
        (lesson["GroupNorm"](4, 12), nn.GroupNorm(4, 12)),
        (lesson["ELU"](), nn.ELU()),
        (lesson["ReLU"](), nn.ReLU()),
        (lesson["LeakyReLU"](), nn.LeakyReLU()),
    ):
        assert same(ours, theirs, x)
    assert not same(lesson["BatchNorm1d"](12, unbiased=True), nn.BatchNorm1d(12), x)
    assert not same(lesson["LayerNorm"](12), nn.BatchNorm1d(12), x)
    assert not same(lesson["LeakyReLU"](), nn.ReLU(), x)
    assert not same(lesson["GroupNorm"](3, 12), nn.GroupNorm(4, 12), x)


@pytest.mark.parametrize("unbiased", [False, True])
def test_its_batchnorm_keeps_torchs_statistics_and_judges_one_example_by_them(lesson, unbiased):
    ours, theirs = lesson["BatchNorm1d"](6, unbiased=unbiased), nn.BatchNorm1d(6, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        x = torch.randn(16, 6, generator=generator, dtype=torch.float64) * 2 + 1
        given, wanted = ours(x), theirs(x)
        if unbiased:  # the lecture's convention divides by n - 1 in the forward pass, torch by n
            wanted = wanted * math.sqrt(15 / 16)
        assert torch.allclose(given, wanted, atol=1e-4 if unbiased else 1e-9)
    assert torch.allclose(ours.running_mean.double(), theirs.running_mean, atol=1e-6)
    assert torch.allclose(ours.running_var.double(), theirs.running_var, atol=1e-6)
    ours.training = False
    theirs.eval()
    assert torch.allclose(ours(x[:1]), theirs(x[:1]), atol=1e-6)


def test_a_gain_above_one_settles_where_a_layer_changes_nothing(lesson):
    lesson["z"] = torch.randn(50_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for gain in (1.3, 5 / 3, 3.0):
        s = lesson["settles"](gain)
        assert lesson["layer"](s, gain) == pytest.approx(s, rel=1e-6)
        assert 0.4 < s < 0.9
    assert lesson["settles"](0.5) < 1e-9
    assert lesson["settles"](5 / 3) == pytest.approx(0.65, abs=0.01)


def test_the_slider_of_ones_own_follows_its_slider(lesson):
    widget = lesson["Normalised"]()
    before = widget.words.value
    widget.slider.value = -10
    assert widget.words.value != before
    assert widget.words.value.split()[-1].startswith("-1.9")
    assert "now -10" in repr(widget)


def test_the_clipped_recurrent_network_learns_and_the_free_one_does_not(lesson):
    from lessons_lib.data import load_names, split
    from lessons_lib.ladder import LETTERS

    names = split(load_names()).train[:4000]
    tape = torch.tensor(LETTERS.encode("".join(name + "." for name in names)))
    lesson["lines"] = tape[: len(tape) // 41 * 41].view(-1, 41)
    clipped = lesson["train_recurrent"](limit=0.5, rate=4.0, steps=150)
    free = lesson["train_recurrent"](limit=math.inf, rate=4.0, steps=150)
    assert sum(clipped[-20:]) / 20 < 2.8
    assert sum(free[-20:]) / 20 > math.log(27)
