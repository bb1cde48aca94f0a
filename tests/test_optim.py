"""Muon takes steps that are as long in every direction, and what it does is what the formulas say, computed here another way."""

import copy
import math
import shutil
from itertools import pairwise

import pytest
import torch
from torch import nn

from lessons_lib.optim import Muon, muon, orthogonalise
from lessons_lib.training import Training
from lessons_lib.transformer import GPT, token_loss

SHAPES = [(8, 8), (5, 40), (40, 5), (1, 7), (7, 1), (1, 1), (32, 96), (96, 32)]


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def with_singular_values(shape, values):
    """A matrix with these singular values, between random directions."""
    left, right = (torch.linalg.qr(drawn(size, len(values), seed=size))[0] for size in shape)
    return left @ torch.diag(values) @ right.T


def by_its_singular_values(matrix, steps=5):
    """The same iteration on the singular values alone, where it is a polynomial of one number; directions stay as they are."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values = values / (matrix.norm() + 1e-7)
    for _ in range(steps):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left @ torch.diag(values) @ right


def gpt(seed=0, **settings):
    torch.manual_seed(seed)
    return GPT(11, **({"block": 8, "width": 12, "heads": 3, "layers": 2} | settings)).double()


def some_tokens(B=8, T=9, seed=0):
    return torch.randint(11, (B, T), generator=torch.Generator().manual_seed(seed))


def with_gradients(model, seed=0):
    tokens = some_tokens(seed=seed)
    model.zero_grad()
    token_loss(model(tokens[:, :-1]), tokens[:, 1:]).backward()
    return model


# Orthogonal.


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("steps", [1, 3, 5])
def test_it_is_a_polynomial_of_the_singular_values(shape, steps):
    matrix = drawn(*shape)
    expected = by_its_singular_values(matrix, steps)
    torch.testing.assert_close(orthogonalise(matrix, steps), expected, rtol=0, atol=1e-9)
    assert expected.abs().max() > 0.01


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_singular_values_come_near_1_whatever_they_were(shape, scale, dtype):
    values = (
        torch.logspace(0, -1.5, min(shape), dtype=torch.float64) * scale
    )  # the smallest a thirtieth of the largest
    found = orthogonalise(with_singular_values(shape, values).to(dtype))
    assert (found.shape, found.dtype) == (shape, dtype)
    sizes = torch.linalg.svdvals(found)
    assert sizes.min() > 0.65
    assert sizes.max() < 1.3


def test_a_matrix_is_left_as_it_was_and_its_scale_does_not_matter():
    for shape in ((4, 9), (9, 4)):
        matrix = drawn(*shape)
        before = matrix.clone()
        found = orthogonalise(matrix)
        assert torch.equal(matrix, before)
        torch.testing.assert_close(orthogonalise(1000 * matrix), found, rtol=0, atol=1e-4)
        torch.testing.assert_close(orthogonalise(-matrix), -found, rtol=0, atol=1e-12)
        torch.testing.assert_close(orthogonalise(matrix.T), found.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(4, 4), (3, 8), (8, 3)])
def test_a_matrix_of_zeros_stays_one(shape, dtype):
    assert torch.equal(orthogonalise(torch.zeros(shape, dtype=dtype)), torch.zeros(shape, dtype=dtype))


# Who is moved by what.


@pytest.mark.parametrize("settings", [{}, {"rotary": True, "qk_norm": True, "squared": True}])
def test_each_parameter_is_moved_by_one_rule_matrices_of_the_blocks_by_muon(settings):
    model = gpt(**settings)
    optimizer = muon(model, decay=0.1)
    groups = [(group, id(one)) for group in optimizer.param_groups for one in group["params"]]
    assert len({place for _, place in groups}) == len(groups) == len(list(model.parameters()))
    group_of = {place: group for group, place in groups}
    for name, weight in model.named_parameters():
        group = group_of[id(weight)]
        assert group["matrices"] == (name.startswith("blocks.") and weight.dim() == 2)
        assert group["weight_decay"] == (0.1 if weight.dim() == 2 else 0)
    assert not group_of[id(model.tokens.weight)]["matrices"]  # the output, too: it is the same matrix
    moved_by_muon = sum(group["matrices"] for group in group_of.values())
    assert (
        moved_by_muon == 2 * 4
    )  # of each block: queries, keys and values as one; out; the two of the feed-forward part


def test_every_parameter_is_moved_and_keeps_its_gradient():
    model = with_gradients(gpt())
    gradients = [weight.grad.clone() for weight in model.parameters()]
    before, optimizer = copy.deepcopy(model.state_dict()), muon(model)
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    optimizer.step()
    for (name, weight), gradient in zip(model.named_parameters(), gradients, strict=True):
        assert not torch.equal(weight, before[name])
        assert torch.equal(weight.grad, gradient)


def test_what_has_no_gradient_is_left_alone():
    model = with_gradients(gpt())
    idle = model.blocks[0].attention.out.weight, model.norm.bias
    for weight in idle:
        weight.grad = None
    before, optimizer = [weight.clone() for weight in idle], muon(model, decay=0.5)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    optimizer.step()
    assert all(torch.equal(weight, old) for weight, old in zip(idle, before, strict=True))
    assert not any(weight in optimizer.state for weight in idle)


def test_what_is_no_matrix_cannot_be_moved_as_one():
    for shape in ((3,), (2, 3, 4), ()):
        with pytest.raises(ValueError, match="Muon moves matrices"):
            Muon([{"params": [nn.Parameter(torch.zeros(shape))], "matrices": True}])


# What the steps are.


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("betas", [(0.9, 0.99), (0.8, 0.95)])
def test_all_else_moves_as_by_torchs_adamw(betas, decay):
    first = [nn.Parameter(drawn(5, 4)), nn.Parameter(drawn(6, seed=1)), nn.Parameter(drawn(2, 3, 4, seed=2))]
    second = copy.deepcopy(first)
    ours = Muon([{"params": first, "weight_decay": decay}], betas=betas)
    theirs = torch.optim.AdamW(second, lr=0.0, betas=betas, weight_decay=decay)
    for step in range(12):
        for optimizer in (ours, theirs):
            optimizer.param_groups[0]["lr"] = 0.05 / (1 + step)
        for one, other in zip(first, second, strict=True):
            one.grad = drawn(*one.shape, seed=10 + step) * 10.0 ** (step - 8)
            other.grad = one.grad.clone()
        ours.step()
        theirs.step()
        for one, other in zip(first, second, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 6), (4, 12), (12, 4)])
@pytest.mark.parametrize(("momentum", "decay"), [(0.95, 0.0), (0.6, 0.2)])
def test_a_matrix_moves_by_its_averaged_gradient_with_equal_singular_values(shape, momentum, decay):
    weight = nn.Parameter(drawn(*shape))
    expected, average = weight.detach().clone(), torch.zeros(shape, dtype=torch.float64)
    optimizer = Muon([{"params": [weight], "matrices": True, "weight_decay": decay}], momentum=momentum)
    for step in range(8):
        rate = optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)
        weight.grad = drawn(*shape, seed=20 + step)
        optimizer.step()

        average = momentum * average + (1 - momentum) * weight.grad
        ahead = momentum * average + (1 - momentum) * weight.grad
        expected = (1 - rate * decay) * expected
        expected = expected - rate * 0.2 * math.sqrt(max(shape)) * by_its_singular_values(ahead)
        torch.testing.assert_close(weight.detach(), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8)])
def test_a_step_of_muon_is_about_as_long_as_one_of_adamw_usually_is(shape):
    weight = nn.Parameter(torch.zeros(shape, dtype=torch.float64))
    optimizer = Muon([{"params": [weight], "matrices": True}])
    optimizer.param_groups[0]["lr"] = 0.01
    weight.grad = with_singular_values(shape, torch.logspace(0, -1, min(shape), dtype=torch.float64))
    optimizer.step()
    assert 0.2 * 0.65 < weight.square().mean().sqrt() / 0.01 < 0.2 * 1.3


def test_a_step_goes_downhill_in_both_parts():
    model = gpt()
    optimizer, tokens = muon(model), some_tokens()
    for group in optimizer.param_groups:
        group["lr"] = 1e-4
    losses = []
    for _ in range(20):
        with_gradients(model)
        losses.append(token_loss(model(tokens[:, :-1]), tokens[:, 1:]).item())
        optimizer.step()
    assert all(later < earlier for earlier, later in pairwise(losses))


def test_a_closure_is_asked_for_the_loss_with_gradients_on():
    model = gpt()
    optimizer = muon(model)

    def closure():
        assert torch.is_grad_enabled()
        with_gradients(model)
        return 7.5

    assert optimizer.step(closure) == 7.5
    assert optimizer.step() is None


# Breaking off and going on.


def run_of(folder=None, seed=0, **options):
    model = gpt(seed=seed)
    tokens = some_tokens(B=40, seed=3)
    options = {"epochs": 4, "batch": 8, "rate": lambda step: 0.02 / (1 + step), "loss": token_loss} | options
    optimizer = muon(model, decay=0.1)
    return Training(model, optimizer, (tokens[:, :-1], tokens[:, 1:]), folder=folder, **options)


def weights(training):
    return list(training.model.state_dict().values())


def same(first, second):
    return all(torch.equal(one, other) for one, other in zip(weights(first), weights(second), strict=True))


def test_a_run_taken_up_from_a_checkpoint_ends_as_the_one_that_was_never_broken_off(tmp_path):
    whole = run_of(tmp_path, save_every=5)
    whole.run()
    shutil.rmtree(tmp_path / "step-00000020")
    resumed = run_of(tmp_path, save_every=5, seed=9)
    assert not same(resumed, whole)
    assert resumed.resume() == 15
    resumed.run()
    assert same(resumed, whole)
    assert resumed.history.losses == whole.history.losses


def test_a_run_repeated_is_the_same_run():
    training = run_of()
    losses = list(training.run().losses)
    first = copy.deepcopy(weights(training))
    assert training.run().losses == losses
    assert all(torch.equal(one, other) for one, other in zip(weights(training), first, strict=True))


def test_a_checkpoint_of_another_momentum_or_decay_is_refused(tmp_path):
    run_of(tmp_path).run()
    other = run_of(tmp_path)
    other.optimizer = muon(other.model, decay=0.1, momentum=0.9)
    with pytest.raises(ValueError, match=r"its optimizer's momentum is 0\.95, here 0\.9"):
        other.resume()
    other.optimizer = muon(other.model, decay=0.2)
    with pytest.raises(ValueError, match=r"its optimizer's weight_decay is 0\.1, here 0\.2"):
        other.resume()
    other.optimizer = torch.optim.AdamW(other.model.parameters())
    with pytest.raises(ValueError, match="its optimizer is Muon, here AdamW"):
        other.resume()
