"""The scalar engine against torch in float64, at the edges of its operations, and against the class built in lesson 1."""

import math
import random
from pathlib import Path

import pytest
import solutions
import torch

from lessons_lib.autograd import Value, topological_order

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "01_micrograd.ipynb"

# Every operation, written alike for a Value and a tensor, and what the numbers it takes must satisfy.
BINARY = [
    (lambda a, b: a + b, lambda x, y: True),
    (lambda a, b: a - b, lambda x, y: True),
    (lambda a, b: a * b, lambda x, y: True),
    (lambda a, b: a / b, lambda x, y: abs(y) > 0.1),
    (lambda a, b: a**b, lambda x, y: 0.1 < x < 5 and abs(y) < 4),
]
UNARY = [
    (lambda a: -a, lambda x: True),
    (lambda a: a.exp(), lambda x: x < 4),
    (lambda a: a.log(), lambda x: x > 0.1),
    (lambda a: a.tanh(), lambda x: abs(x) < 4),
    (lambda a: a.sigmoid(), lambda x: abs(x) < 10),
    (lambda a: a.relu(), lambda x: x != 0),
    (lambda a: a**3, lambda x: True),
    (lambda a: a**-2, lambda x: abs(x) > 0.2),
    (lambda a: a**0.5, lambda x: x > 0.1),
    (lambda a: 2 + a, lambda x: True),
    (lambda a: 2 - a, lambda x: True),
    (lambda a: 3 * a, lambda x: True),
    (lambda a: 2 / a, lambda x: abs(x) > 0.1),
    (lambda a: 2**a, lambda x: abs(x) < 8),
    (lambda a: a - 1.5, lambda x: True),
    (lambda a: a / 4, lambda x: True),
]


def random_graph(rng):
    """The same random expression of three leaves as Values and as tensors: leaves and root of both."""
    data = [rng.uniform(-3, 3) for _ in range(3)]
    values = [Value(x) for x in data]
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in data]
    ours, theirs = list(values), list(tensors)
    while len(ours) < 12:
        i, j = rng.randrange(len(ours)), rng.randrange(len(ours))
        operation, allowed = rng.choice(BINARY + UNARY)
        inputs = (i, j) if (operation, allowed) in BINARY else (i,)
        if not allowed(*(ours[k].data for k in inputs)):
            continue
        result = operation(*(ours[k] for k in inputs))
        if abs(result.data) < 1e4:
            ours.append(result)
            theirs.append(operation(*(theirs[k] for k in inputs)))
    return values, tensors, sum(ours[3:]), sum(theirs[3:])


def agree(a, b):
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def test_10_000_random_graphs_agree_with_torch():
    rng = random.Random(1)
    for _ in range(10_000):
        values, tensors, root, torch_root = random_graph(rng)
        root.backward()
        torch_root.backward()
        assert agree(root.data, torch_root.item())
        for value, tensor in zip(values, tensors, strict=True):
            assert agree(value.grad, 0.0 if tensor.grad is None else tensor.grad.item())


@pytest.mark.parametrize("x", [0.0, 1.0, -1.0, 30.0, -30.0, 1000.0, -1000.0])
def test_tanh_and_sigmoid_are_safe_at_both_ends(x):
    for ours, theirs in ((Value.tanh, torch.tanh), (Value.sigmoid, torch.sigmoid)):
        value, tensor = Value(x), torch.tensor(x, dtype=torch.float64, requires_grad=True)
        result, torch_result = ours(value), theirs(tensor)
        result.backward()
        torch_result.backward()
        assert result.data == pytest.approx(torch_result.item(), rel=1e-12)
        assert value.grad == pytest.approx(tensor.grad.item(), rel=1e-9, abs=1e-14)


def test_tanh_is_flat_far_out():
    for x, limit in ((1000.0, 1.0), (-1000.0, -1.0)):
        value = Value(x)
        result = value.tanh()
        result.backward()
        assert (result.data, value.grad) == (limit, 0.0)


def test_relu_has_gradient_0_at_0():
    value = Value(0.0)
    value.relu().backward()
    assert value.grad == 0.0


@pytest.mark.parametrize(
    ("formula", "error", "said"),
    [
        (lambda: Value(0.0).log(), ValueError, "log: needs a positive number, and it is 0"),
        (lambda: Value(-2.0).log(), ValueError, "log: needs a positive number, and it is -2"),
        (lambda: Value(3.0) / 0, ZeroDivisionError, "division: 3 / 0"),
        (lambda: 3 / Value(0.0), ZeroDivisionError, "division: 3 / 0"),
        (lambda: Value(0.0) ** -1, ZeroDivisionError, r"power: 0 \*\* -1"),
        (lambda: Value(-8.0) ** 0.5, ValueError, r"power: -8 \*\* 0.5 is not a real number"),
        (lambda: Value(-8.0) ** Value(2.0), ValueError, "the base must be positive, and it is -8"),
        (lambda: Value(0.0) ** Value(2.0), ValueError, "the base must be positive, and it is 0"),
        (lambda: (-2) ** Value(2.0), ValueError, "the base must be positive, and it is -2"),
        (lambda: Value(1000.0).exp(), OverflowError, r"exp: e \*\* 1000 is too large"),
        (lambda: Value(10.0) ** 400, OverflowError, r"power: 10 \*\* 400, or its derivative, is too large"),
        (lambda: Value(1e-200) ** -1.2, OverflowError, "or its derivative, is too large"),
    ],
)
def test_what_has_no_answer_is_refused_by_name(formula, error, said):
    with pytest.raises(error, match=said):
        formula()


def test_a_negative_base_takes_a_whole_exponent():
    value = Value(-2.0)
    cube = value**3
    cube.backward()
    assert (cube.data, value.grad) == (-8.0, 12.0)


@pytest.mark.parametrize(("power", "slope"), [(0, 0.0), (1, 1.0), (2, 0.0), (0.5, math.inf)])
def test_powers_of_0_have_the_slopes_that_torch_gives(power, slope):
    value, tensor = Value(0.0), torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    (value**power).backward()
    (tensor**power).backward()
    assert value.grad == slope == tensor.grad.item()


def test_two_raised_to_a_value():
    value = Value(3.0)
    power = 2**value
    power.backward()
    assert power.data == 8
    assert value.grad == pytest.approx(8 * math.log(2), rel=1e-12)


def test_other_may_be_an_int_or_a_float_and_nothing_else():
    assert (Value(1) + 2).data == (2.0 + Value(1)).data == 3.0
    for other in ("2", None, [1.0], torch.tensor(1.0)):
        with pytest.raises(TypeError, match="a Value or a plain number"):
            Value(1) + other


def test_comparisons_are_not_overloaded():
    a, b = Value(1.0), Value(1.0)
    assert a != b
    assert len({a, b, a}) == 2
    with pytest.raises(TypeError):
        _ = a < b


def test_a_node_used_twice_hears_twice():
    a = Value(3.0)
    b = a + a
    (b * b).backward()
    assert a.grad == 24.0


def test_leaves_add_up_and_inner_nodes_do_not():
    a = Value(2.0)
    b = a * 3
    c = b * b
    c.backward()
    c.backward()
    assert (a.grad, b.grad) == (2 * 36.0, 12.0)


def test_a_leaf_can_be_its_own_root():
    a = Value(5.0)
    a.backward()
    assert a.grad == 1.0


def test_children_come_first_and_in_the_same_order_each_time():
    def build():
        a, b = Value(1.0, label="a"), Value(2.0, label="b")
        c = a * b
        return (c + a).tanh() * c

    orders = [[(node.op, node.data) for node in topological_order(build())] for _ in range(3)]
    assert orders[0] == orders[1] == orders[2]
    order = topological_order(build())
    assert all(order.index(child) < order.index(node) for node in order for child in node.children)


def test_a_chain_of_a_million_nodes_needs_no_recursion():
    first = node = Value(0.0)
    one = Value(1.0)
    for _ in range(1_000_000):
        node = node + one
    node.backward()
    assert (node.data, first.grad, one.grad) == (1e6, 1.0, 1e6)


@pytest.fixture(scope="module")
def lesson():
    """What lesson 1 has defined where its own engine is complete: all cells above exercise 1.5."""
    above = next(e for e in solutions.exercises(NOTEBOOK) if e.number == "1.5").above
    space = {"__name__": "notebook"}
    exec(solutions.context(above, "Value, topological_order"), space)
    return space


def test_the_engine_of_the_lesson_equals_the_library(lesson):
    built = lesson["Value"]
    assert built is not Value
    rng = random.Random(2)
    operations = [
        lambda a, b: a * b,
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: (a * 0.1).exp(),
        lambda a, b: a * 3,
    ]
    for _ in range(500):
        data, recipe = [rng.uniform(-2, 2) for _ in range(3)], []
        for size in range(3, 12):
            recipe.append((rng.choice(operations), rng.randrange(size), rng.randrange(size)))
        results = []
        for engine, order in ((built, lesson["topological_order"]), (Value, topological_order)):
            nodes = [engine(x) for x in data]
            for operation, i, j in recipe:
                nodes.append(operation(nodes[i], nodes[j]) if abs(nodes[i].data) < 1e3 else nodes[i] * 1e-3)
            nodes[-1].backward()
            results.append(
                ([n.data for n in nodes], [n.grad for n in nodes], [n.data for n in order(nodes[-1])])
            )
        assert results[0] == results[1]


def test_relu_of_nan_is_nan():
    assert math.isnan(Value(math.nan).relu().data)
