"""A look into a model gives the right numbers, works for any module, and leaves no trace."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lessons_lib import diagnostics
from lessons_lib.bands import compared
from lessons_lib.diagnostics import UpdateRatios, examine, is_saturated, saturation, stds, verdicts
from lessons_lib.training import setup


@pytest.fixture(scope="module", autouse=True)
def as_in_a_lesson():
    setup()  # one thread: on a busy machine two of them wait for each other


def tanh_stack(gain=5 / 3, depth=5, activation=nn.Tanh, last=0.1):
    """Linear layers of 100 units with fan-in scaled weights, and 27 logits; inputs are (N, 30)."""
    torch.manual_seed(1)
    layers, size = [], 30
    for _ in range(depth):
        layers += [nn.Linear(size, 100, bias=False), activation()]
        nn.init.normal_(layers[-2].weight, std=gain / math.sqrt(size))
        size = 100
    layers.append(nn.Linear(size, 27, bias=False))
    nn.init.normal_(layers[-1].weight, std=last / math.sqrt(size))
    return nn.Sequential(*layers)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(2)
    X = torch.randn(256, 30, generator=generator)
    return X, torch.randint(27, (256,), generator=generator)


class Twice(nn.Module):
    """Uses one module twice."""

    def __init__(self):
        super().__init__()
        self.linear, self.act = nn.Linear(30, 30), nn.Tanh()

    def forward(self, x):
        return self.act(self.linear(self.act(self.linear(x))))


class Tanh(nn.Module):
    """A learner's own."""

    def forward(self, x):
        return torch.tanh(x)


class Keeper(nn.Module):
    """Keeps its output and its own running mean, as the layers of the lecture do."""

    def __init__(self):
        super().__init__()
        self.linear, self.mean, self.calls = nn.Linear(30, 27), torch.zeros(27), 0

    def forward(self, x):
        self.out = self.linear(x)
        self.mean = 0.9 * self.mean + 0.1 * self.out.detach().mean(0)
        self.calls += 1
        return self.out


# The numbers.


def test_the_numbers_are_those_that_torch_gives_by_hand(batch):
    model, (X, Y) = tanh_stack(depth=2), batch
    h1 = torch.tanh(X @ model[0].weight.T)
    h2 = torch.tanh(h1 @ model[2].weight.T)
    for h in (h1, h2):
        h.retain_grad()
    loss = F.cross_entropy(h2 @ model[4].weight.T, Y)
    loss.backward()
    report = examine(model, X, Y, rate=0.1)
    assert report.loss == pytest.approx(loss.item(), rel=1e-6)
    assert [layer.label for layer in report.layers] == ["1 Tanh", "3 Tanh"]
    for layer, h in zip(report.layers, (h1, h2), strict=True):
        assert layer.shape == (256, 100)
        assert layer.mean == pytest.approx(h.mean().item(), abs=1e-6)
        assert layer.std == pytest.approx(h.std().item(), rel=1e-5)
        assert layer.gradient_std == pytest.approx(h.grad.std().item(), rel=1e-5)
        assert layer.saturated == pytest.approx((h.abs() > 0.97).float().mean().item(), abs=1e-6)
        assert layer.dead == 0
    assert [weight.name for weight in report.weights] == ["0.weight", "2.weight", "4.weight"]
    for weight, p in zip(report.weights, model.parameters(), strict=True):
        assert weight.std == pytest.approx(p.std().item(), rel=1e-5)
        assert weight.gradient_std == pytest.approx(p.grad.std().item(), rel=1e-5)
        assert weight.ratio == pytest.approx((p.grad.std() / p.std()).item(), rel=1e-5)
        assert weight.update_ratio == pytest.approx(0.1 * weight.ratio)


def test_without_a_rate_there_is_no_update_ratio(batch):
    assert all(weight.update_ratio is None for weight in examine(tanh_stack(), *batch).weights)


def test_a_histogram_has_the_area_of_what_is_not_zero(batch):
    for layer in examine(tanh_stack(activation=nn.ReLU), *batch).layers:
        widths = layer.activations.edges.diff()
        assert len(layer.activations.density) == len(widths) == 60
        assert (layer.activations.density * widths).sum() == pytest.approx(1 - layer.saturated, abs=1e-9)
        assert 0.3 < layer.saturated < 0.7
    tanh = examine(tanh_stack(), *batch).layers[0]
    for histogram in (tanh.activations, tanh.gradients):
        assert (histogram.density * histogram.edges.diff()).sum() == pytest.approx(1, abs=1e-9)
    peak = tanh.gradients.edges[tanh.gradients.density.argmax()].item()  # of the logarithms
    assert peak == pytest.approx(math.log10(tanh.gradient_std), abs=0.5)


@pytest.mark.parametrize("value", [0.0, 3.0, -1e-30, 1e30])
def test_a_histogram_of_equal_numbers_is_one_bar(value):
    class Constant(nn.Module):
        def forward(self, x):
            return x * 0 + value

    layer = examine(Constant(), torch.ones(4, 3), None, loss=lambda out, _: out.sum()).layers[0]
    assert layer.std == 0
    assert int((layer.activations.density > 0).sum()) == (value != 0)
    assert layer.activations.density.isfinite().all()


def test_saturation_means_the_same_slope_for_tanh_and_sigmoid():
    z = torch.linspace(-6, 6, 1001, dtype=torch.float64)
    by_tanh = is_saturated(torch.tanh(z), "Tanh")
    assert by_tanh.equal(is_saturated(torch.sigmoid(2 * z), "Sigmoid"))
    slope = 1 - torch.tanh(z) ** 2
    assert slope[by_tanh].max() < 0.06 < slope[~by_tanh].min() + 0.001
    assert is_saturated(torch.relu(z), "ReLU").equal(z <= 0)
    assert is_saturated(z, "GELU") is None


def test_a_dead_unit_is_flat_for_every_example(batch):
    model = tanh_stack(depth=2, activation=nn.ReLU)
    with torch.no_grad():
        model[2].weight[:7] = -1.0  # of inputs that are 0 or more
    report = examine(model, *batch)
    assert report.layers[1].dead == pytest.approx(0.07)
    columns = saturation(model, batch[0], "3").all(0)
    assert columns.nonzero().flatten().tolist() == list(range(7))


def test_in_images_a_unit_is_a_channel():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 3))
    with torch.no_grad():
        model[0].weight[2], model[0].bias[2] = 0, -1
    X, Y = torch.randn(8, 1, 6, 6), torch.arange(8) % 3
    assert examine(model, X, Y).layers[0].dead == 0.25
    flags = saturation(model, X, model[1])
    assert flags.shape == (8 * 16, 4)
    assert flags.all(0).tolist() == [False, False, True, False]


def test_in_sequences_a_unit_is_the_last_dimension_unless_the_model_convolves():
    X = torch.zeros(2, 5, 3)
    X[:, :, 1] = 1
    assert saturation(nn.Sequential(nn.ReLU()), X, "0").all(0).tolist() == [True, False, True]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(5, 4, 1), nn.ReLU())
    assert saturation(net, X, "1").shape == (2 * 3, 4)


def test_the_gradient_is_that_of_the_output_before_something_changes_it_in_place():
    torch.manual_seed(0)
    linear, X = nn.Linear(3, 5), torch.randn(4, 3)
    report = examine(
        nn.Sequential(linear, nn.ReLU(inplace=True)), X, None, lambda out, _: (out**2).sum(), layers="0"
    )
    z = linear(X).detach().requires_grad_()
    (torch.relu(z) ** 2).sum().backward()
    assert report.layers[0].gradient_std == pytest.approx(z.grad.std().item(), rel=1e-5)
    assert report.layers[0].mean == pytest.approx(z.mean().item(), rel=1e-5)  # not that of the ReLU


def test_a_look_is_a_step_of_training_would_see_it():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 50), nn.BatchNorm1d(50), nn.Tanh()).eval()
    X = 10 + torch.randn(64, 3)
    ((_, found),) = stds(model, X)
    assert found == pytest.approx(model.train()(X).std().item(), rel=1e-5)


# Any module.


def test_a_module_used_twice_is_seen_twice(batch):
    report = examine(Twice(), batch[0], batch[1])
    assert [layer.label for layer in report.layers] == ["act #1 Tanh", "act #2 Tanh"]
    assert report.layers[0].std != report.layers[1].std


def test_modules_of_the_learners_own_count_by_their_name(batch):
    own, theirs = (examine(tanh_stack(activation=kind), *batch) for kind in (Tanh, nn.Tanh))
    assert own.layers[0].saturated == theirs.layers[0].saturated > 0.1


def test_a_model_without_activations_shows_its_innermost_modules(batch):
    report = examine(nn.Sequential(nn.Sequential(nn.Linear(30, 8)), nn.Linear(8, 27)), *batch)
    assert [layer.label for layer in report.layers] == ["0.0 Linear", "1 Linear"]
    assert report.layers[0].saturated is report.layers[0].dead is None


def test_of_several_outputs_the_first_counts():
    torch.manual_seed(0)
    rnn, X = nn.RNN(3, 4), torch.randn(5, 2, 3)
    (layer,) = examine(rnn, X, None, loss=lambda out, _: (out[0] ** 2).sum()).layers
    assert layer.label == "RNN"
    assert layer.std == pytest.approx(rnn(X)[0].std().item(), rel=1e-5)


@pytest.mark.parametrize(
    "layers", [nn.Linear, [nn.Linear], ["0", "2", "4"], ["0", nn.Linear], [nn.Linear, nn.ReLU]]
)
def test_layers_are_chosen_by_type_or_name(layers, batch):
    report = examine(tanh_stack(depth=2), *batch, layers=layers)
    assert [layer.name for layer in report.layers] == ["0", "2", "4"]


@pytest.mark.parametrize("layers", ["9", nn.ReLU, ["0", "9"], [], nn.Tanh()])
def test_a_layer_that_is_not_there_is_named(layers, batch):
    with pytest.raises(ValueError, match="no such layer"):
        examine(tanh_stack(depth=2), *batch, layers=layers)


def test_whole_numbers_and_frozen_weights_are_passed_over(batch):
    class Rounded(nn.Module):
        def forward(self, x):
            return x.long()

    model = nn.Sequential(nn.Embedding(27, 4), nn.Flatten(), nn.Linear(12, 27))
    model[0].weight.requires_grad_(False)
    X, Y = torch.zeros(8, 3, dtype=torch.int64), torch.zeros(8, dtype=torch.int64)
    report = examine(model, X, Y, rate=1.0)
    assert report.layers[0].gradient_std is report.layers[0].gradients is None
    assert report.weights[0].gradient_std is report.weights[0].ratio is report.weights[0].update_ratio is None
    assert report.weights[1].ratio > 0
    with pytest.raises(ValueError, match="none of these layers"):
        examine(Rounded(), batch[0], None, loss=lambda *_: torch.zeros((), requires_grad=True))


def test_an_empty_batch_and_what_is_no_module_are_refused():
    with pytest.raises(ValueError, match="the batch is empty"):
        examine(tanh_stack(), torch.zeros(0, 30), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"an nn\.Module is wanted"):
        examine(lambda x: x, torch.zeros(1, 30), torch.zeros(1, dtype=torch.int64))
    with pytest.raises(ValueError, match="no flat end"):
        saturation(nn.Sequential(nn.GELU()), torch.zeros(2, 3), "0")


def test_a_report_prints_as_a_table(batch):
    first, *rows, last = str(examine(tanh_stack(depth=3), *batch)).splitlines()
    assert [row.split()[:2] for row in rows] == [["1", "Tanh"], ["3", "Tanh"], ["5", "Tanh"]]
    assert len({len(row) for row in (first, *rows)}) == 1
    assert last.startswith("loss 3.")


# No trace.


def test_a_look_changes_nothing(batch):
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Linear(30, 40), nn.BatchNorm1d(40), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(40, 27)
    )
    model[1].eval()
    F.cross_entropy(model(batch[0]), batch[1]).backward()
    state, gradients = copy.deepcopy(model.state_dict()), [p.grad.clone() for p in model.parameters()]
    modes, random = [module.training for module in model.modules()], torch.get_rng_state()
    for look in (
        lambda: examine(model, *batch),
        lambda: stds(model, batch[0]),
        lambda: saturation(model, batch[0], "2"),
    ):
        look()
        assert all(value.equal(state[name]) for name, value in model.state_dict().items())
        assert all(p.grad.equal(g) for p, g in zip(model.parameters(), gradients, strict=True))
        assert [module.training for module in model.modules()] == modes
        assert torch.get_rng_state().equal(random)
        assert not any(module._forward_hooks for module in model.modules())


def test_a_look_leaves_gradients_that_were_none_at_none(batch):
    model = tanh_stack()
    examine(model, *batch)
    assert all(p.grad is None for p in model.parameters())


def test_a_look_leaves_what_a_module_keeps_for_itself(batch):
    model = Keeper()
    mean = model.mean
    examine(model, *batch)
    assert model.mean is mean
    assert mean.eq(0).all()
    assert model.calls == 0
    assert not hasattr(model, "out")


def test_the_hooks_go_and_the_mode_returns_when_the_model_raises(batch):
    model = tanh_stack().eval()
    with pytest.raises(RuntimeError):
        examine(model, batch[0][:, :7], batch[1])
    with pytest.raises(ZeroDivisionError):
        examine(model, *batch, loss=lambda *_: 1 / 0)
    assert not any(module._forward_hooks for module in model.modules())
    assert not model.training


def test_a_look_works_where_gradients_are_switched_off(batch):
    with torch.no_grad():
        report = examine(tanh_stack(), *batch)
    assert report.layers[0].gradient_std > 0


def test_a_look_does_not_spoil_a_backward_pass_under_way(batch):
    model = nn.Sequential(nn.Linear(30, 27), nn.BatchNorm1d(27))
    loss = F.cross_entropy(model(batch[0]), batch[1])
    examine(model, *batch)
    loss.backward()
    assert model[0].weight.grad.abs().sum() > 0


# The bands.


def healthy(batch):
    """A stack inside every band: inputs with the spread that tanh layers settle at, and a rate in the band."""
    X, Y = batch
    model = tanh_stack(last=1.0)
    moves = examine(model, 0.65 * X, Y).weights[2].ratio
    return examine(model, 0.65 * X, Y, rate=5.5e-4 / moves)


def test_where_all_is_well_nothing_is_said(batch):
    assert verdicts(healthy(batch)) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gain": 0.5}, "Std of the outputs below 0.40 in 5 of 5, furthest in 9 Tanh: 0.02."),
        ({"gain": 0.5}, "times smaller at 1 Tanh than at 9 Tanh, more than 3 times apart."),
        ({"gain": 4}, "Std of the outputs above 0.80 in 5 of 5"),
        ({"gain": 4}, "times larger at 1 Tanh than at 9 Tanh"),
        ({"gain": 4}, "Share of saturated outputs above 10% in 5 of 5"),
        ({"last": 0}, "A gradient of std 0, which tells no weight from another: 0.weight, 2.weight"),
    ],
)
def test_what_lies_outside_of_a_band_is_named(settings, words, batch):
    assert any(
        words in sentence for sentence in verdicts(examine(tanh_stack(**settings), 0.65 * batch[0], batch[1]))
    )


def test_dead_units_broken_numbers_and_rates_are_named(batch):
    model = tanh_stack(depth=2, activation=nn.ReLU)
    with torch.no_grad():
        model[2].weight[:7] = -1.0
    assert "Share of dead units above 5% in 1 of 2, furthest in 3 ReLU: 7%." in verdicts(
        examine(model, *batch)
    )
    for rate, way in ((1e-6, "below -3.5 in 3 of 3"), (1e6, "above -2.5 in 3 of 3")):
        assert any(
            f"log10 of update:data {way}" in words for words in verdicts(examine(model, *batch, rate=rate))
        )
    with torch.no_grad():
        model[2].weight[0, 0] = math.nan
    assert "3 ReLU is the first to go wrong" in verdicts(examine(model, *batch))[0]


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (1, 18, "18 times smaller"),
        (3, 2, "1.5 times larger"),
        (1.04, 1, "as large"),
        (0, 0, "as large"),
        (0, 2, "infinitely smaller"),
        (1e34, 1, "10^34 times larger"),
    ],
)
def test_two_sizes_are_compared_in_words(first, last, words):
    assert compared(first, last) == words


# Updates.


def train(model, optimizer, steps):
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        X = torch.randn(16, 30, generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(model(X), torch.randint(27, (16,), generator=generator)).backward()
        yield
        optimizer.step()


def test_for_plain_sgd_the_update_is_rate_times_gradient():
    model = tanh_stack(depth=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = []
    with UpdateRatios(model, optimizer, every=3) as ratios:
        for _ in train(model, optimizer, 7):
            expected.append([math.log10(0.1 * p.grad.std() / p.detach().std()) for p in model.parameters()])
    assert ratios.steps == [0, 3, 6]
    assert list(ratios.ratios) == ["0.weight", "2.weight"]
    for place, values in enumerate(ratios.ratios.values()):
        assert values == pytest.approx([expected[step][place] for step in ratios.steps], abs=1e-3)


def test_for_adamw_the_update_is_what_the_optimizer_did():
    model = tanh_stack(depth=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.5)
    with UpdateRatios(model, optimizer, every=1) as ratios:
        steps = train(model, optimizer, 2)
        next(steps)
        before = model[0].weight.detach().clone()
        next(steps)
    change = model[0].weight.detach() - before
    measured = ratios.ratios["0.weight"][0]
    assert measured == pytest.approx(math.log10(change.std() / before.std()), abs=1e-4)
    assert abs(measured - math.log10(0.01 * model[0].weight.grad.std() / before.std())) > 0.5


def test_after_remove_nothing_is_measured_any_more():
    model = tanh_stack(depth=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ratios = UpdateRatios(model, optimizer, every=1)
    list(train(model, optimizer, 2))
    ratios.remove()
    list(train(model, optimizer, 2))
    assert ratios.steps == [0, 1]
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_what_does_not_move_and_what_is_constant_are_marked():
    model = nn.Sequential(nn.Linear(30, 4), nn.Linear(4, 27))
    nn.init.zeros_(model[1].weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with UpdateRatios(model, optimizer) as ratios:
        list(train(model, optimizer, 1))
    assert ratios.ratios["0.weight"] == [-math.inf]
    assert math.isnan(ratios.ratios["1.weight"][0])


def test_an_optimizer_of_another_model_and_no_steps_are_refused():
    model = tanh_stack(depth=1)
    other = torch.optim.SGD(tanh_stack(depth=1).parameters(), lr=0.1)
    with pytest.raises(ValueError, match="holds no parameter of this model"):
        UpdateRatios(model, other)
    with pytest.raises(ValueError, match="1 is the least"):
        UpdateRatios(model, other, every=0)


def test_the_bands_are_offered_with_the_rest():
    assert diagnostics.ACTIVATION_STD[0] < 0.65 < diagnostics.ACTIVATION_STD[1]
    assert diagnostics.UPDATE_RATIO[0] < -3 < diagnostics.UPDATE_RATIO[1]


class OneNumber(nn.Module):
    """A classifier of two kinds: (N, 30) -> (N,) probabilities, by way of a module without a dimension for units."""

    def __init__(self):
        super().__init__()
        self.linear, self.squash = nn.Linear(30, 1), nn.Sigmoid()

    def forward(self, x):
        return self.squash(self.linear(x).squeeze(-1))


def test_a_layer_of_one_number_for_each_example_has_one_unit(batch):
    X, Y = batch
    report = examine(OneNumber(), X, (Y > 13).float(), loss=F.binary_cross_entropy)
    assert [layer.shape for layer in report.layers] == [(256,)]
    assert saturation(OneNumber(), X, "squash").shape == (256, 1)


class Recomputed(nn.Module):
    """Keeps no activations and computes them again on the way back."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return torch.utils.checkpoint.checkpoint(self.inner, x, use_reentrant=False)


def test_activations_that_are_computed_again_are_seen_once(batch):
    stack = tanh_stack()
    seen, expected = examine(Recomputed(stack), *batch, rate=0.1), examine(stack, *batch, rate=0.1)
    assert len(seen.layers) == len(expected.layers)
    assert [layer.gradient_std for layer in seen.layers] == [layer.gradient_std for layer in expected.layers]
    assert [weight.ratio for weight in seen.weights] == [weight.ratio for weight in expected.weights]


def test_layers_that_never_run_are_an_error_for_stds_too(batch):
    model = tanh_stack()
    model.idle = nn.Tanh()
    model.forward = lambda x: x
    with pytest.raises(ValueError, match="none of these layers gave real numbers"):
        stds(model, batch[0], "idle")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_that_are_all_equal_have_no_spread_to_measure_a_step_by(dtype):
    model = nn.Linear(30, 200, bias=False, dtype=dtype)
    nn.init.constant_(model.weight, 0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with UpdateRatios(model, optimizer, every=1) as ratios:
        model(torch.randn(4, 30, dtype=dtype)).square().mean().backward()
        optimizer.step()
    assert math.isnan(ratios.ratios["weight"][0])
