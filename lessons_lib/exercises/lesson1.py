"""The checks of lesson 1. Each takes your function, tries it, and says why it matters; `CHECKS` at the end lists them."""

import math

from lessons_lib.autograd import Value, topological_order
from lessons_lib.exercises.engine import NotYet, call, expect_number, expect_numbers, show_call


def slope(answer):
    """1.1: slope(f, x, h), the central difference."""

    def square(x):
        return x * x

    def cube(x):
        return x**3

    for f, x, h in [(square, 3.0, 0.5), (cube, 2.0, 0.5), (cube, -1.0, 0.1), (math.exp, 0.0, 0.01)]:
        mistakes = {
            (f(x + h) - f(x)) / h: "That is the forward difference: step to both sides of x.",
            (f(x) - f(x - h)) / h: "That is the backward difference: step to both sides of x.",
            (f(x + h) - f(x - h)) / h: "Twice too large: from x - h to x + h is a distance of 2h.",
            (f(x - h) - f(x + h)) / (2 * h): "The sign is turned round: right minus left.",
            f(x + h) - f(x - h): "That is the change; the slope is the change divided by the distance.",
        }
        expect_number(
            call(answer, f, x, h), (f(x + h) - f(x - h)) / (2 * h), show_call(answer, f, x, h), mistakes, 1e-9
        )
    return "Its error falls with h squared, the forward difference's only with h: a better answer for one more run."


def gradient_by_bumping(answer):
    """1.2: gradient_by_bumping(f, point, h), one central difference per input."""

    def area(p):
        return p[0] * p[1]

    def mixed(p):
        return p[0] * p[1] ** 2 - 3 * p[2]

    def single(p):
        return 4 * p[0]

    for f, point in [(single, [2.0]), (area, [2.0, 5.0]), (mixed, [1.0, -2.0, 0.5])]:
        h = 0.01

        def moved(i, by, f=f, point=point):
            return f([x + by * (j == i) for j, x in enumerate(point)])

        wanted = [(moved(i, h) - moved(i, -h)) / (2 * h) for i in range(len(point))]
        together = (f([x + h for x in point]) - f([x - h for x in point])) / (2 * h)
        staying = [
            (f([x + h * (j <= i) for j, x in enumerate(point)]) - f(point)) / h for i in range(len(point))
        ]
        mistakes = [
            ([together] * len(point), "That is the slope when all inputs move at once: bump one at a time."),
            (staying, "The earlier inputs are still bumped while you bump the next: put each one back."),
            (
                [(moved(i, h) - f(point)) / h for i in range(len(point))],
                "Forward differences: use exercise 1.1.",
            ),
        ]
        seen = show_call(answer, f, point, h)
        expect_numbers(call(answer, f, point, h), wanted, seen, mistakes, 1e-9)
    return "Right for every function there is, at two runs an input. Remember the price; the lesson is about avoiding it."


def by_hand(answer):
    """1.3: the lecture's exercise, the gradient of -a^3 + sin 3b - 1/c + b^2.5 - sqrt a on paper."""
    for a, b, c in [(2.0, 3.0, 4.0), (1.0, 1.0, -0.5), (0.25, 2.0, 3.0)]:
        da = -3 * a**2 - 0.5 / math.sqrt(a)
        db = 3 * math.cos(3 * b) + 2.5 * b**1.5
        dc = 1 / c**2
        mistakes = [
            (
                [da, math.cos(3 * b) + 2.5 * b**1.5, dc],
                "The slope of sin(3b) has a factor 3: the chain rule.",
            ),
            ([da, db, -dc], "-1/c has slope +1/c**2: two minus signs."),
            ([-3 * a**2 + 0.5 / math.sqrt(a), db, dc], "The square root is subtracted, so its slope is too."),
        ]
        expect_numbers(call(answer, a, b, c), [da, db, dc], show_call(answer, a, b, c), mistakes)
    return "Paper works for five terms. The engine does the same for five million, and never loses a sign."


def sin(answer):
    """1.6: a new operation for the engine."""
    for x in (0.0, 1.0, -2.5):
        leaf = Value(x)
        seen = f"sin(Value({x:g}))"
        result = expect_value(call(answer, leaf), seen)
        expect_number(result.data, math.sin(x), f"{seen}.data")
        if not result.children:
            raise NotYet(
                f"{seen} has no children, so nothing flows back through it. Pass (x,) as its children."
            )
        result.backward()
        mistakes = {
            math.cos(math.sin(x)): "The slope of sin is cos of the input, not of the result.",
            math.sin(x): "That is the value once more. Which function is the slope of sin?",
            -math.cos(x): "The sign: near 0, sin rises.",
        }
        expect_number(leaf.grad, math.cos(x), f"The gradient of {seen} with respect to x", mistakes)
    leaf = Value(0.7)
    (call(answer, call(answer, leaf) * 2) + leaf).backward()
    wanted = math.cos(2 * math.sin(0.7)) * 2 * math.cos(0.7) + 1
    expect_number(leaf.grad, wanted, "The gradient of sin(2 sin(x)) + x at x = 0.7")
    return "An operation is a value and a local slope. You could now teach the engine any function you can differentiate."


def sum_over_paths(answer):
    """1.5: the derivative as a sum over all paths from root to leaf of the product of the local slopes."""
    a = Value(3.0, label="a")
    doubled = a + a
    squared = doubled * doubled
    x, w = Value(0.5), Value(-2.0)
    neuron = (x * w + x).tanh() * x
    cases = [
        (
            "the root itself",
            a,
            a,
            {0.0: "From a node to itself there is one path, the empty one: its product is 1."},
        ),
        ("x * w, leaf w", x * w, w, {}),
        ("a + a, leaf a", doubled, a, {1.0: "a stands twice among the children: that makes two paths."}),
        (
            "(a + a) * (a + a) at a = 3",
            squared,
            a,
            {
                6.0: "Only one path was counted. There are four.",
                12.0: "Some paths are missing: every child counts as often as it stands in `children`.",
                14.0: "Along a path the slopes are multiplied; only different paths are added.",
                28.0: "Along a path the slopes are multiplied; only different paths are added.",
                48.0: "Each path was counted twice.",
            },
        ),
        ("tanh(x * w + x) * x, leaf x", neuron, x, {}),
        (
            "a leaf that the root does not depend on",
            neuron,
            Value(1.0),
            {1.0: "Where there is no path the sum is empty: 0."},
        ),
    ]
    for title, root, leaf, mistakes in cases:
        for node in topological_order(root):
            node.grad = 0.0
        root.backward()
        wanted = leaf.grad
        for node in topological_order(root):
            node.grad = 0.0
        expect_number(call(answer, root, leaf), wanted, f"{answer.__name__} on {title}", mistakes)
    return "This is the chain rule in full. It is also hopeless in large graphs, as the next cells count."


def children_first(answer):
    """1.4: topological order without recursion."""
    a, b = Value(1.0), Value(2.0)
    shared = a * b
    diamond = shared + shared * a
    deep = Value(0.0)
    for _ in range(10_000):
        deep = deep + 1.0
    for title, root in [
        ("a single node", a),
        ("a * b", shared),
        ("a*b + (a*b)*a", diamond),
        ("a chain of 10,000", deep),
    ]:
        nodes = set(topological_order(root))
        try:
            order = call(answer, root)
        except NotYet as seen:
            if isinstance(seen.__cause__, RecursionError):
                raise NotYet(
                    f"On {title}: Python gave up on the recursion. Keep your own stack in a list."
                ) from None
            raise
        seen = f"{answer.__name__} on {title}"
        if not isinstance(order, list):
            raise NotYet(f"{seen} returned a {type(order).__name__}; a list of nodes was expected.")
        if len(set(order)) < len(order):
            raise NotYet(f"{seen}: a node stands twice in the list. Remember which ones you have seen.")
        if set(order) != nodes:
            raise NotYet(f"{seen} lists {len(order)} nodes; there are {len(nodes)}.")
        place = {node: i for i, node in enumerate(order)}
        wrong = sum(place[child] > place[node] for node in order for child in node.children)
        edges = sum(len(node.children) for node in order)
        if wrong and wrong == edges:
            raise NotYet(f"{seen} stands on its head: the root is first. Children come first.")
        if wrong:
            raise NotYet(f"{seen}: {wrong} of {edges} edges go from a node to a child that comes later.")
    return "With this order a node passes its gradient on once, when the gradient is complete."


def nll(answer):
    """1.8: the lecture's exercise, softmax and negative log-likelihood from Values."""
    for data, target in [
        ([1.0, 0.0], 1),
        ([0.0, 3.0, -2.0, 1.0], 3),
        ([2.0, -1.0, 0.5], 0),
        ([1000.0, 0.0, 0.0], 0),
    ]:
        logits = [Value(x) for x in data]
        seen = show_call(answer, data, target)
        try:
            loss = expect_value(call(answer, logits, target), seen)
        except NotYet as problem:
            if isinstance(problem.__cause__, OverflowError):
                message = f"{seen}: e to the 1000 does not fit into a float. Subtract the largest logit from all of them first."
                raise NotYet(message) from None
            raise
        shifted = [math.exp(x - max(data)) for x in data]
        probabilities = [e / sum(shifted) for e in shifted]
        wanted = -math.log(probabilities[target])
        mistakes = {
            -wanted: "The sign: a loss is the negative of the log-probability.",
            -math.log(
                max(probabilities)
            ): "That is for the most probable class; the loss asks for the true one.",
            -data[target]: "The logits are not yet probabilities: exponentiate and divide by the sum.",
            probabilities[target]: "That is the probability; the loss is minus its logarithm.",
            1 - probabilities[target]: "That is one minus the probability; the loss is minus its logarithm.",
        }
        expect_number(loss.data, wanted, f"{seen}.data", {} if wanted == 0 else mistakes)
        loss.backward()
        slopes = [p - (i == target) for i, p in enumerate(probabilities)]
        expect_numbers([logit.grad for logit in logits], slopes, f"The gradient of {seen}")
    return "Its gradient is the probabilities, minus 1 at the truth. Lessons 3 to 8 train on nothing else."


def descend(answer):
    """1.7: the training loop."""

    def run(how, starts, grads, steps, rate):
        p, q = (Value(x) for x in starts)
        p.grad, q.grad = grads

        def loss():
            return (p - 2) ** 2 + 0.5 * (q + 1) ** 2

        return how([p, q], loss, steps, rate), [p.data, q.data]

    def loop(clear="before", sign=-1):
        def how(parameters, loss, steps, rate):
            losses = []
            for _ in range(steps):
                value = loss()
                losses.append(value.data)
                for p in parameters:
                    p.grad = 0.0 if clear == "before" else p.grad
                value.backward()
                for p in parameters:
                    p.data += sign * rate * p.grad
                    p.grad = 0.0 if clear == "after the step" else p.grad
            return losses

        return how

    for starts, grads, steps, rate in [
        ((5.0, 0.0), (0.0, 0.0), 1, 0.1),
        ((5.0, 0.0), (0.0, 0.0), 3, 0.1),
        ((-1.0, 4.0), (100.0, -7.0), 5, 0.2),
    ]:
        wanted_losses, wanted = run(loop(), starts, grads, steps, rate)
        losses, reached = run(lambda *a: call(answer, *a), starts, grads, steps, rate)
        dirty = " (their grad was not 0 when you got them)" if any(grads) else ""
        seen = f"After {steps} step{'s' * (steps > 1)} at rate {rate:g} from {list(starts)}{dirty}, the parameters"
        mistakes = [
            (
                run(loop(clear="never"), starts, grads, steps, rate)[1],
                "Old gradients were added in: set grad to 0 before each backward.",
            ),
            (
                run(loop(sign=1), starts, grads, steps, rate)[1],
                "Uphill: the gradient points to where the loss grows.",
            ),
            (
                run(loop(clear="after the step"), starts, grads, steps, rate)[1],
                "Old gradients were added in: clear before each backward, the first one too.",
            ),
            (list(starts), "Nothing moved. Is the gradient cleared before it is used?"),
        ]
        expect_numbers(reached, wanted, seen, mistakes)
        expect_numbers(
            losses, wanted_losses, f"{answer.__name__}(..., {steps}, {rate:g}), the losses before each step,"
        )
    return "Four lines: look, clear, backward, step. GPT is trained by the same four."


def expect_value(got, seen: str) -> Value:
    if not isinstance(got, Value):
        raise NotYet(
            f"{seen} returned a {type(got).__name__}; a Value was expected, or its gradient has no way back."
        )
    return got


CHECKS = {
    "1.1": slope,
    "1.2": gradient_by_bumping,
    "1.3": by_hand,
    "1.4": children_first,
    "1.5": sum_over_paths,
    "1.6": sin,
    "1.7": descend,
    "1.8": nll,
}
