"""The layers that torch lacks do what they say, with torch's tools: state, gradients, refusals."""

import pytest
import torch
from torch import nn

from lessons_lib.layers import Residual


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
