"""Pictures of a `Value` graph: the graph as it stands, and its backward pass one node at a time.

Boxes are numbered in topological order and placed in columns by their distance from the root, so the same graph gives the
same picture on every run and every machine, and no program besides Python is needed. For graphs that fit on a page: above
40 nodes a picture explains nothing, and `draw` says so. Built in lesson 1.
"""

import functools
import itertools
from typing import NamedTuple

import networkx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.path import Path

from lessons_lib.autograd import Value, topological_order
from lessons_lib.figures import BLUE, GREY, INK, ORANGE, new_figure

__all__ = [
    "MOST_NODES",
    "Step",
    "backward_panel",
    "backward_steps",
    "describe_step",
    "draw",
    "layout",
    "name",
]

MOST_NODES = 40
WIDTH, HEIGHT = 0.74, 0.74  # of a box; columns and rows are 1 apart
SYMBOLS = {"*": "×", "-": "−", "/": "÷", "neg": "−"}
RED = "#B04000"  # orange, dark enough for small print
DONE, ACTIVE, WAITING = "#DCEBF5", "#FBE3D3", "white"


def name(node: Value) -> str:
    """What a box is called: its label, else its operation, else the constant that it is."""
    return node.label or SYMBOLS.get(node.op, node.op) or f"{node.data:.4g}"


def layout(root: Value) -> tuple[dict[Value, tuple[float, float]], dict[tuple, list[tuple[float, float]]]]:
    """Where each node goes, and the points between columns that each long edge passes.

    x is minus the longest path to the root, y the place in that column. An edge is (node, position of the child).
    Raises ValueError above MOST_NODES nodes.
    """
    nodes = topological_order(root)
    if len(nodes) > MOST_NODES:
        raise ValueError(
            f"{len(nodes)} nodes are too many for one picture (at most {MOST_NODES}): draw a part of it"
        )
    depth = dict.fromkeys(nodes, 0)
    for node in reversed(nodes):
        for child in node.children:
            depth[child] = max(depth[child], depth[node] + 1)
    # Layered drawing after Sugiyama, Tagawa and Toda (1981). An edge over several columns gets a stand-in in each of
    # them, so that room is left for it; then each column is put in the order of its neighbours' mean height.
    graph = networkx.DiGraph()
    graph.add_nodes_from(reversed(nodes))
    waypoints = {}
    for node in reversed(nodes):
        for position, child in enumerate(node.children):
            stops = [(node, position, x) for x in range(depth[node] + 1, depth[child])]
            networkx.add_path(graph, [node, *stops, child])
            waypoints[node, position] = stops
    columns = [list(column) for column in networkx.topological_generations(graph)]
    place = {}
    for sweep in range(7):  # from the root leftwards, and back
        neighbours = graph.predecessors if sweep % 2 == 0 else graph.successors
        for x, column in enumerate(columns):
            if sweep:
                column.sort(key=lambda v: -mean_height([place[n] for n in neighbours(v)], place[v][1]))
            place.update({v: (-x, (len(column) - 1) / 2 - i) for i, v in enumerate(column)})
    edges = {edge: [place[stop] for stop in reversed(stops)] for edge, stops in waypoints.items()}
    return {node: place[node] for node in nodes}, edges


def mean_height(places, otherwise):
    return sum(y for _, y in places) / len(places) if places else otherwise


class Picture:
    """The artists of a graph drawn on some axes, so that they can be changed: a box and a gradient a node, an arrow an edge."""

    def __init__(self, root: Value, axes: Axes):
        self.nodes, self.axes = topological_order(root), axes
        place, edges = layout(root)
        columns, rows = extent(place, edges)
        axes.set(xlim=(-columns + 0.5, 0.5), ylim=(-rows / 2, rows / 2))
        axes.set_axis_off()
        self.title = axes.set_title(" ")
        self.boxes, self.gradients, self.arrows = [], [], []
        for i, node in enumerate(self.nodes):
            routes = [[place[child], *edges[node, k], place[node]] for k, child in enumerate(node.children)]
            routes.sort(key=lambda route: -route[-2][1])  # arrive in the order they come from: no crossing
            for k, route in enumerate(routes):
                self.add_arrow(i, route, 0.1 * (len(routes) - 1) * (1 - 2 * k))
        for node in self.nodes:
            self.add_box(node, *place[node])

    def add_box(self, node, x, y):
        box = Rectangle(
            (x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, facecolor=WAITING, edgecolor=GREY, lw=1.2
        )
        self.boxes.append(self.axes.add_patch(box))
        write = functools.partial(self.axes.text, ha="center", va="center", zorder=5)
        constant = not node.children and not node.label
        write(
            x,
            y + 0.22,
            "constant" if constant else node.label,
            color=GREY if constant else INK,
            weight="bold",
            fontsize=9.5,
        )
        write(x, y, f"{node.data:.4g}", color=INK)
        self.gradients.append(write(x, y - 0.23, "", color=RED, fontsize=9))
        if node.op:
            badge = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": GREY, "linewidth": 0.8}
            write(x - WIDTH / 2, y, SYMBOLS.get(node.op, node.op), fontsize=9, bbox=badge)

    def add_arrow(self, owner, points, shift):
        # A curve that leaves and meets every point level; it ends `shift` above the middle of the operation's badge.
        (x, y), *stops, (end_x, end_y) = points
        stops = [(x + WIDTH / 2, y), *stops, (end_x - WIDTH / 2 - 0.07, end_y + shift)]
        vertices, codes = [stops[0]], [Path.MOVETO]
        for (x0, y0), (x1, y1) in itertools.pairwise(stops):
            middle = (x0 + x1) / 2
            vertices += [(middle, y0), (middle, y1), (x1, y1)]
            codes += [Path.CURVE4] * 3
        arrow = FancyArrowPatch(
            path=Path(vertices, codes), arrowstyle="-|>", mutation_scale=9, color=GREY, lw=1
        )
        self.arrows.append((owner, self.axes.add_patch(arrow)))

    def paint(self, step: "Step") -> None:
        """Set colours, gradients and title to one moment of a backward pass."""
        for i, (box, text) in enumerate(zip(self.boxes, self.gradients, strict=True)):
            box.set_facecolor(ACTIVE if i == step.active else DONE if i in step.done else WAITING)
            text.set_text(f"grad {step.gradients[i]:.4g}" if i in step.reached else "")
        for i, arrow in self.arrows:
            sending = i == step.active
            colour = ORANGE if sending else BLUE if i in step.done else GREY
            arrow.set(color=colour, linewidth=2.2 if sending else 1)
            arrow.set_arrowstyle(
                "<|-" if sending else "-|>"
            )  # a message goes back where the number came from
        senders = sum(bool(node.children) for node in self.nodes)
        now = "nobody has sent" if step.active is None else f"{name(self.nodes[step.active])} sends"
        self.title.set_text(f"Step {len(step.done)} of {senders}: {now}")


def extent(place, edges):
    """How many columns and rows the layout takes."""
    points = [*place.values(), *itertools.chain.from_iterable(edges.values())]
    return 1 - min(x for x, _ in points), 1 + 2 * max(y for _, y in points)


def canvas(root: Value, count: int = 1):
    """A figure with room for `count` drawings of the graph, one below the other: figure and list of axes."""
    columns, rows = extent(*layout(root))
    figure, axes = new_figure(max(1.6 * columns, 5), (rows + 0.4) * count, nrows=count, squeeze=False)
    return figure, list(axes.flat)


def draw(root: Value, title: str = "") -> Figure:
    """The graph below root: a box a node with its name, its number and its gradient (0 until `backward` has run)."""
    figure, [axes] = canvas(root)
    picture = Picture(root, axes)
    for node, text in zip(picture.nodes, picture.gradients, strict=True):
        text.set_text(f"grad {node.grad:.4g}")
    picture.title.set_text(title)
    return figure


class Step(NamedTuple):
    """One moment of a backward pass. Nodes are numbered in topological order.

    active: the node that sends, or None before the first. done: nodes that have sent, active included.
    sends: what it sends, a tuple of (child, local derivative, amount). gradients: every node's gradient afterwards.
    reached: nodes that have received something.
    """

    active: int | None
    done: frozenset[int]
    sends: tuple[tuple[int, float, float], ...]
    gradients: tuple[float, ...]
    reached: frozenset[int]


def backward_steps(root: Value) -> list[Step]:
    """The backward pass from root in slow motion; root itself is not changed. Step 0: only the root has its gradient, 1.

    One more step for every node with children, in the order in which `Value.backward` visits them.
    """
    nodes = topological_order(root)
    number = {node: i for i, node in enumerate(nodes)}
    gradients = [0.0] * len(nodes)
    gradients[-1] = 1.0  # the root is last
    steps = [Step(None, frozenset(), (), tuple(gradients), frozenset({len(nodes) - 1}))]
    for i in reversed(range(len(nodes))):
        sends = []
        for child, slope in zip(nodes[i].children, nodes[i].local, strict=True):
            sends.append((number[child], slope, slope * gradients[i]))
            gradients[number[child]] += slope * gradients[i]
        if sends:
            reached = steps[-1].reached | {child for child, _, _ in sends}
            steps.append(Step(i, steps[-1].done | {i}, tuple(sends), tuple(gradients), reached))
    return steps


def describe_step(root: Value, step: Step) -> str:
    """One sentence: which node sends, and what it sends to whom."""
    nodes = topological_order(root)
    if step.active is None:
        return f"Start: {name(root)} changes by 1 when {name(root)} changes by 1, so its gradient is 1."
    sends = [f"{slope:.4g} × {step.gradients[step.active]:.4g} = {amount:.4g} to {name(nodes[child])}"
             for child, slope, amount in step.sends]  # fmt: skip
    return f"{name(nodes[step.active])} is done and sends local slope × its gradient: {' and '.join(sends)}."


def backward_strip(root: Value, steps: list[Step]) -> Figure:
    """Some moments of the backward pass from root, one below the other, for where no slider moves."""
    figure, places = canvas(root, len(steps))
    for axes, step in zip(places, steps, strict=True):
        Picture(root, axes).paint(step)
    return figure


def backward_panel(root: Value):
    """A `sliders.Panel` that shows one `Step` of the backward pass from root: boxes that have sent are blue, the one that
    sends now is orange with its arrows, and a gradient appears when its first part arrives."""
    from lessons_lib.sliders import Panel  # the widget needs a notebook; a still picture does not

    figure, [axes] = canvas(root)
    picture = Picture(root, axes)
    arrows = [arrow for _, arrow in picture.arrows]
    return Panel(figure, [*picture.boxes, *picture.gradients, *arrows, picture.title], picture.paint)
