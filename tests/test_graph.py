"""The layout of a graph, and its backward pass in slow motion."""

import itertools
import random

import pytest

from lessons_lib import graph
from lessons_lib.autograd import Value, topological_order


def lemonade():
    price, cost = Value(2.0, label="price"), Value(1.0, label="cost")
    customers = (price * -0.5).exp() * 60
    profit = customers * (price - cost)
    profit.label = "profit"
    return profit


def tangle(seed, size=12):
    rng = random.Random(seed)
    nodes = [Value(rng.uniform(-1, 1), label=c) for c in "abc"]
    while len(nodes) < size:
        nodes.append(
            rng.choice([Value.__add__, Value.__mul__, Value.__sub__])(rng.choice(nodes), rng.choice(nodes))
        )
    return sum(nodes[3:])


@pytest.mark.parametrize("seed", range(30))
def test_no_two_nodes_share_a_place_and_arrows_go_right(seed):
    root = tangle(seed)
    place, edges = graph.layout(root)
    stops = [point for points in edges.values() for point in points]
    assert len(set(place.values()) | set(stops)) == len(place) + len(stops)
    for (node, position), points in edges.items():
        xs = [place[node.children[position]][0], *[x for x, _ in points], place[node][0]]
        assert xs == list(range(int(xs[0]), int(xs[-1]) + 1))


def test_the_layout_depends_on_the_formula_only():
    assert list(graph.layout(lemonade())[0].values()) == list(graph.layout(lemonade())[0].values())


def test_a_large_graph_is_refused_with_its_size():
    node = Value(1.0)
    for _ in range(graph.MOST_NODES):
        node = node + node
    with pytest.raises(ValueError, match="41 nodes are too many"):
        graph.draw(node)


@pytest.mark.parametrize("seed", range(30))
def test_the_slow_pass_ends_where_backward_does_and_changes_nothing(seed):
    root = tangle(seed)
    steps = graph.backward_steps(root)
    assert all(node.grad == 0 for node in topological_order(root))
    root.backward()
    assert steps[-1].gradients == tuple(node.grad for node in topological_order(root))


def test_each_step_has_one_sender_that_is_complete():
    root = lemonade()
    steps, nodes = graph.backward_steps(root), topological_order(root)
    assert steps[0].active is None
    assert [graph.name(nodes[step.active]) for step in steps[1:]] == [
        "profit",
        "×",
        "exp",
        "×",
        "−",
    ]
    for before, after in itertools.pairwise(steps):
        assert after.done == before.done | {after.active}
        assert after.gradients[after.active] == steps[-1].gradients[after.active]


def test_a_step_is_told_in_one_sentence():
    root = lemonade()
    steps = graph.backward_steps(root)
    assert (
        graph.describe_step(root, steps[0])
        == "Start: profit changes by 1 when profit changes by 1, so its gradient is 1."
    )
    said = graph.describe_step(root, steps[-1])
    assert (
        said
        == "− is done and sends local slope × its gradient: 1 × 22.07 = 22.07 to price and -1 × 22.07 = -22.07 to cost."
    )


def test_a_picture_shows_every_number():
    root = lemonade()
    root.backward()
    [axes] = graph.draw(root, "Profit").axes
    texts = [text.get_text() for text in axes.texts]
    for shown in ("price", "cost", "profit", "22.07", "grad 11.04", "grad -22.07", "exp", "constant"):
        assert shown in texts
    assert axes.get_title(loc="left") == "Profit"


def test_a_panel_shows_what_a_fresh_one_shows():
    root = lemonade()
    steps = graph.backward_steps(root)
    used = graph.backward_panel(root)
    for step in steps + steps[::-1]:
        picture = used.update(step)
    assert picture == graph.backward_panel(root).update(steps[0])
    assert used.update(steps[3]) == graph.backward_panel(root).update(steps[3]) != picture


def test_a_strip_has_one_drawing_a_moment():
    root = lemonade()
    steps = graph.backward_steps(root)
    strip = graph.backward_strip(root, [steps[1], steps[4]])
    assert [axes.get_title(loc="left") for axes in strip.axes] == [
        "Step 1 of 5: profit sends",
        "Step 4 of 5: × sends",
    ]
