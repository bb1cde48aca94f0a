"""Wrong answers to the exercises of lesson 1, each as a learner might write it, and what the check must say of it."""

import math

from lessons_lib.autograd import Value, topological_order


def bump(point, i, h):
    return [*point[:i], point[i] + h, *point[i + 1 :]]


def bump_in_place(f, point, h):
    slopes = []
    for i in range(len(point)):
        point[i] += h
        up = f(point)
        point[i] -= 2 * h
        slopes.append((up - f(point)) / (2 * h))
    return slopes


def bump_and_leave(f, point, h):
    before, moved, slopes = f(point), list(point), []
    for i in range(len(point)):
        moved[i] += h
        slopes.append((f(moved) - before) / h)
    return slopes


def gradient(da, db, dc):
    return lambda a, b, c: [da(a), db(b), dc(c)]


def right_a(a):
    return -3 * a**2 - 0.5 / math.sqrt(a)


def right_b(b):
    return 3 * math.cos(3 * b) + 2.5 * b**1.5


def one_path(root, leaf):
    if root is leaf:
        return 1.0
    for child, slope in zip(root.children, root.local, strict=True):
        if leaf in topological_order(child):
            return slope * one_path(child, leaf)
    return 0.0


def each_child_once(root, leaf):
    if root is leaf:
        return 1.0
    slopes = dict(zip(root.children, root.local, strict=True))
    return sum(slope * each_child_once(child, leaf) for child, slope in slopes.items())


def added_along_the_path(root, leaf):
    if root is leaf:
        return 0.0
    below = [
        added_along_the_path(child, leaf) + slope
        for child, slope in zip(root.children, root.local, strict=True)
    ]
    return float(sum(below))


def root_first(root):
    return topological_order(root)[::-1]


def recursive(root):
    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for child in node.children:
                visit(child)
            order.append(node)

    visit(root)
    return order


def in_order_of_discovery(root):
    order, stack, seen = [], [root], {root}
    while stack:
        node = stack.pop()
        order.append(node)
        for child in node.children:
            if child not in seen:
                seen.add(child)
                stack.append(child)
    return order[::-1]


def with_repeats(root):
    return [*topological_order(root), root]


def without_leaves(root):
    return [node for node in topological_order(root) if node.children] or [root]


def sine(slope, children=True):
    def sin(x):
        return Value(math.sin(x.data), (x,) if children else (), (slope(x.data),) if children else (), "sin")

    return sin


def loop(clear=True, sign=-1, late=False, rates=1.0, losses=True, after=False):
    def train(parameters, loss, steps, rate):
        seen = []
        for _ in range(steps):
            value = loss()
            seen.append(value.data)
            for p in parameters:
                p.grad = 0.0 if clear else p.grad
            value.backward()
            for p in parameters:
                p.grad = 0.0 if late else p.grad
                p.data += sign * rate * rates * p.grad
                p.grad = 0.0 if after else p.grad
        return seen if losses else value

    return train


def softmax(logits):
    exponentials = [logit.exp() for logit in logits]
    total = sum(exponentials)
    return [e / total for e in exponentials]


def stable(logits):
    largest = max(logit.data for logit in logits)
    return softmax([logit - largest for logit in logits])


WRONG = {
    "1.1": [
        (lambda f, x, h: (f(x + h) - f(x)) / h, "forward difference"),
        (lambda f, x, h: (f(x) - f(x - h)) / h, "backward difference"),
        (lambda f, x, h: (f(x + h) - f(x - h)) / h, "Twice too large"),
        (lambda f, x, h: (f(x - h) - f(x + h)) / (2 * h), "right minus left"),
        (lambda f, x, h: f(x + h) - f(x - h), "divided by the distance"),
        (lambda f, x, h: f.slope(x), "raised AttributeError"),
        (lambda f, x, h: [(f(x + h) - f(x - h)) / (2 * h)], "a list; it should be one number"),
        (lambda f, x, h: float("nan"), "returned nan"),
    ],
    "1.2": [
        (bump_in_place, "changed its input"),
        (bump_and_leave, "put each one back"),
        (
            lambda f, p, h: [(f([x + h for x in p]) - f([x - h for x in p])) / (2 * h)] * len(p),
            "one at a time",
        ),
        (lambda f, p, h: [(f(bump(p, i, h)) - f(p)) / h for i in range(len(p))], "Forward differences"),
        (lambda f, p, h: (f(bump(p, 0, h)) - f(bump(p, 0, -h))) / (2 * h), "a list of 1 numbers"),
        (lambda f, p, h: [str(x) for x in p], "a str; a float"),
    ],
    "1.3": [
        (gradient(right_a, lambda b: math.cos(3 * b) + 2.5 * b**1.5, lambda c: 1 / c**2), "a factor 3"),
        (gradient(right_a, right_b, lambda c: -1 / c**2), "two minus signs"),
        (
            gradient(lambda a: -3 * a**2 + 0.5 / math.sqrt(a), right_b, lambda c: 1 / c**2),
            "root is subtracted",
        ),
        (gradient(lambda a: -3 * a**2, right_b, lambda c: 1 / c**2), "was expected"),
        (lambda a, b, c: (right_a(a), right_b(b)), "of length 2; 3 numbers were expected"),
    ],
    "1.4": [
        (root_first, "stands on its head"),
        (recursive, "gave up on the recursion"),
        (in_order_of_discovery, "a child that comes later"),
        (with_repeats, "stands twice"),
        (without_leaves, "there are 3"),
        (lambda root: set(topological_order(root)), "returned a set"),
        (lambda root: [node.data for node in topological_order(root)], "there are 1"),
    ],
    "1.5": [
        (one_path, "two paths"),
        (each_child_once, "two paths"),
        (added_along_the_path, "the empty one: its product is 1"),
        (lambda root, leaf: 1.0 if root is leaf else root.local[0], "was expected"),
        (lambda root, leaf: leaf.grad, "one path, the empty one"),
        (lambda root, leaf: 1.0, "was expected"),
    ],
    "1.6": [
        (sine(lambda x: math.cos(math.sin(x))), "not of the result"),
        (sine(lambda x: -math.cos(x)), "The sign"),
        (sine(math.sin), "the value once more"),
        (sine(math.cos, children=False), "no children"),
        (lambda x: math.sin(x.data), "a float; a Value was expected"),
        (lambda x: Value(math.cos(x.data), (x,), (math.cos(x.data),), "sin"), ".data returned 1"),
    ],
    "1.7": [
        (loop(clear=False), "Old gradients"),
        (loop(clear=False, after=True), "the first one too"),
        (loop(sign=1), "Uphill"),
        (loop(late=True), "Nothing moved"),
        (loop(rates=0.5), "was expected"),
        (loop(losses=False), "a list of 1 numbers"),
    ],
    "1.8": [
        (lambda logits, target: stable(logits)[target].log(), "negative of the log-probability"),
        (lambda logits, target: -max(stable(logits), key=lambda p: p.data).log(), "the true one"),
        (lambda logits, target: -logits[target], "not yet probabilities"),
        (lambda logits, target: -softmax(logits)[target].log(), "Subtract the largest"),
        (lambda logits, target: stable(logits)[target], "minus its logarithm"),
        (lambda logits, target: 1 - stable(logits)[target], "one minus the probability"),
        (lambda logits, target: -stable(logits)[target].log().data, "a Value was expected"),
        (lambda logits, target: Value(-stable(logits)[target].log().data), "The gradient of"),
    ],
}
