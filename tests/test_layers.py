"""The layers that torch lacks do what they say, with torch's tools: state, gradients, refusals."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lessons_lib.data import examples
from lessons_lib.ladder import LETTERS
from lessons_lib.layers import BatchNorm, CausalConv, FlattenConsecutive, GatedBlock, Residual
from lessons_lib.reading import packed, whole

NAMES = ["deeann", "bo", "a", "maximilianus", "zoe"]


def normal(*shape, seed=0, requires_grad=False):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(requires_grad)


def drawn(layer, seed=0):
    """The layer in 64 bits, all its parameters drawn."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.double().parameters():
        nn.init.normal_(parameter, generator=generator)
    return layer


# Residual.


def test_a_residual_layer_adds_what_is_inside_to_what_comes_in():
    inner = nn.Linear(4, 4)
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Residual(inner)(x), x + inner(x))


def test_the_gradient_takes_both_ways():
    inner = nn.Linear(4, 4, bias=False)
    x = torch.zeros(2, 4, requires_grad=True)
    Residual(inner)(x).sum().backward()
    assert torch.allclose(x.grad, 1 + inner.weight.sum(0).expand(2, -1))


def test_where_the_inside_gives_nothing_the_gradient_arrives_as_it_came():
    inner = nn.Linear(4, 4)
    nn.init.zeros_(inner.weight)
    x = torch.randn(2, 4, requires_grad=True)
    stack = nn.Sequential(*[Residual(inner) for _ in range(30)])
    stack(x).backward(torch.full((2, 4), 0.5))
    assert torch.equal(x.grad, torch.full((2, 4), 0.5))


def test_a_change_of_shape_is_refused_even_where_it_would_broadcast():
    with pytest.raises(ValueError, match=r"turn \(3, 4\) into \(3, 1\)"):
        Residual(nn.Linear(4, 1))(torch.zeros(3, 4))


def test_its_parameters_are_those_of_the_inside():
    inner = nn.Linear(4, 4)
    assert list(Residual(inner).state_dict()) == ["inner.weight", "inner.bias"]
    assert next(iter(Residual(inner).parameters())) is inner.weight


# FlattenConsecutive.


def test_neighbours_are_laid_side_by_side_in_their_order():
    x = normal(3, 8, 5)
    assert torch.equal(FlattenConsecutive(2)(x), torch.cat([x[:, ::2], x[:, 1::2]], dim=2))
    assert torch.equal(
        FlattenConsecutive(4)(x), torch.cat([x[:, ::4], x[:, 1::4], x[:, 2::4], x[:, 3::4]], dim=2)
    )
    assert torch.equal(FlattenConsecutive(1)(x), x)


def test_two_times_two_is_four():
    x = normal(2, 8, 3)
    two = FlattenConsecutive(2)
    assert torch.equal(two(two(x)), FlattenConsecutive(4)(x))


def test_one_place_that_is_left_keeps_its_axis_and_a_fourth_call_is_refused():
    two = FlattenConsecutive(2)
    last = two(two(two(normal(2, 8, 3))))
    assert last.shape == (2, 1, 24)
    with pytest.raises(ValueError, match=r"T a multiple of 2, and this one is \(2, 1, 24\)"):
        two(last)


@pytest.mark.parametrize("shape", [(2, 7, 3), (2, 8), (2, 2, 8, 3)])
def test_left_over_letters_and_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="2 neighbours at a time"):
        FlattenConsecutive(2)(torch.zeros(shape))


def test_it_learns_nothing_and_passes_every_gradient_on_to_its_place():
    x, gradient = normal(2, 6, 3, requires_grad=True), normal(2, 2, 9, seed=1)
    layer = FlattenConsecutive(3)
    layer(x).backward(gradient)
    assert torch.equal(x.grad, gradient.reshape(2, 6, 3))
    assert not layer.state_dict()
    assert repr(layer) == "FlattenConsecutive(3)"


# BatchNorm.


@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("train", [True, False])
def test_it_is_torchs_over_all_axes_but_the_last(shape, train):
    ours, theirs = drawn(BatchNorm(5)), drawn(nn.BatchNorm1d(5))
    for layer in (ours, theirs):
        layer.running_mean.copy_(normal(5, seed=2))
        layer.running_var.copy_(normal(5, seed=3).exp())
        layer.train(train)
    x, also = (normal(*shape, seed=4, requires_grad=True) for _ in range(2))
    gradient = normal(*shape, seed=5)
    got, wanted = ours(x), theirs(also.reshape(-1, 5)).view(shape)
    got.backward(gradient)
    wanted.backward(gradient)
    torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(x.grad, also.grad)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    for name, buffer in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], buffer)


def test_every_channel_has_one_mean_whatever_the_number_of_places():
    norm, x = BatchNorm(3).double(), normal(16, 4, 3) + torch.arange(4.0)[:, None]
    out = norm(x)
    assert norm.running_mean.shape == (3,)
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean((0, 1)))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * x.var((0, 1)))
    assert out.mean((0, 1)).abs().max() < 1e-9
    assert out.mean(0).abs().max() > 0.1  # the places differ, and may


def test_a_tensor_that_lies_in_memory_otherwise_is_no_obstacle():
    x = normal(4, 5, 3).transpose(1, 2)
    torch.testing.assert_close(BatchNorm(5).double()(x), BatchNorm(5).double()(x.contiguous()))


def test_in_training_a_single_number_for_each_channel_is_refused():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        BatchNorm(3)(torch.zeros(1, 1, 3))


# CausalConv: against windows, with the same matrices.


def stacked(convs, X, table):
    letters, place = packed(X)
    x = table[letters]
    for conv in convs:
        x = conv(x, place).tanh()
    return x


@pytest.mark.parametrize("bias", [True, False])
def test_on_a_tape_it_gives_what_the_tree_gives_for_every_window(bias):
    table = normal(27, 3)
    widths = [3, 5, 5, 4]
    convs = [
        drawn(CausalConv(i, o, 2**level, bias=bias), seed=level)
        for level, (i, o) in enumerate(itertools.pairwise(widths))
    ]
    got = stacked(convs, whole(NAMES, LETTERS)[0], table)
    tree = table[examples(NAMES, 8, LETTERS)[0]]
    for conv in convs:
        tree = conv.linear(FlattenConsecutive(2)(tree)).tanh()
    torch.testing.assert_close(got, tree.squeeze(1))


@pytest.mark.parametrize("dilation", [1, 2, 3, 20])
def test_it_is_torchs_convolution_behind_the_first_place_repeated_and_so_is_its_gradient(dilation):
    conv = drawn(CausalConv(3, 4, dilation))
    X = whole(["marielle"], LETTERS)[0]
    _, place = packed(X)
    x, also = (normal(9, 3, requires_grad=True) for _ in range(2))
    weight = conv.linear.weight.detach().view(4, 2, 3).transpose(1, 2)
    padded = torch.cat([also[:1].expand(dilation, -1), also])
    wanted = F.conv1d(padded.T[None], weight, conv.linear.bias.detach(), dilation=dilation)[0].T
    got, gradient = conv(x, place), normal(9, 4, seed=1)
    got.backward(gradient)
    wanted.backward(gradient)
    torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(x.grad, also.grad)


def test_zeros_before_a_name_would_be_something_else():
    conv = drawn(CausalConv(3, 4, 2))
    _, place = packed(whole(["marielle"], LETTERS)[0])
    x = normal(9, 3)
    zeros = conv.linear(torch.cat([torch.cat([torch.zeros(2, 3, dtype=x.dtype), x[:-2]]), x], dim=1))
    differs = (conv(x, place) - zeros).abs().amax(1) > 0.1
    assert differs.tolist() == [True, True] + [False] * 7


@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_no_place_sees_a_later_one_or_another_name(dilation):
    """By its gradient: place p of a name hangs on itself and on the one before it, or on the first."""
    conv = drawn(CausalConv(2, 1, dilation))
    X = whole(NAMES, LETTERS)[0]
    _, place = packed(X)
    name = (place == 0).cumsum(0)
    x = normal(len(place), 2, requires_grad=True)
    out = conv(x, place)
    for p in range(len(place)):
        (gradient,) = torch.autograd.grad(out[p, 0], x, retain_graph=True)
        reached = gradient.abs().sum(1).nonzero().flatten().tolist()
        assert reached == sorted({p - min(dilation, int(place[p])), p})
        assert len(name[reached].unique()) == 1


def test_a_step_of_nothing_or_into_the_future_is_refused():
    for dilation in (0, -1):
        with pytest.raises(ValueError, match="1 step back or more"):
            CausalConv(2, 3, dilation)


# GatedBlock.


def test_a_block_is_what_is_said_times_its_gate_mixed_and_added():
    block = drawn(GatedBlock(3, dilation=2))
    _, place = packed(whole(NAMES, LETTERS)[0])
    x = normal(len(place), 3)
    onwards, change = block(x, place)
    inner = block.conv(x, place)
    wanted = block.mix(inner[:, :3].tanh() * torch.sigmoid(inner[:, 3:]))
    torch.testing.assert_close(change, wanted)
    torch.testing.assert_close(onwards, x + wanted)


def test_where_the_gate_is_shut_nothing_is_said_but_the_bias():
    block = drawn(GatedBlock(3, dilation=1))
    with torch.no_grad():
        block.conv.linear.weight[3:] = 0
        block.conv.linear.bias[3:] = -100
    _, place = packed(whole(NAMES, LETTERS)[0])
    _, change = block(normal(len(place), 3), place)
    torch.testing.assert_close(change, block.mix.bias.expand(len(place), -1))


def test_its_dropout_is_between_gate_and_mix_and_quiet_in_eval_mode():
    block = drawn(GatedBlock(4, dilation=1, dropout=0.5))
    _, place = packed(whole(NAMES, LETTERS)[0])
    x = normal(len(place), 4)
    torch.manual_seed(0)
    assert not torch.equal(block(x, place)[1], block(x, place)[1])
    block.eval()
    assert torch.equal(block(x, place)[1], block(x, place)[1])
