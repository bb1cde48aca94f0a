"""`Value`: one number that remembers how it was computed, so that every derivative can be had in one sweep backwards.

Lesson 1 builds this class step by step; here it stands whole. A `Value` holds a float, the Values it was made from (its
children), and one number per child: the local derivative, by how much this value moves when that child moves a little. The
derivatives are computed on the way forward, when the inputs are at hand, and stored as plain floats. Backward then needs no
function per operation: it multiplies and adds. It is also what makes the engine fast, for Python: a node is three small
objects that nothing points back to, so a graph is freed the moment it is dropped, and the garbage collector has no cycles
to look for (benchmarks/ has the numbers).

Left out on purpose: tensors, second derivatives, in-place operations, comparisons. `a == b` asks whether a and b are the same
object, and `a < b` raises a TypeError, because a comparison has no derivative to pass on.

Sources: reverse accumulation goes back to S. Linnainmaa (1970); the scalar engine as a way to teach it is the lecture's.
"""

import math

__all__ = ["Value", "topological_order"]


class Value:
    """A scalar in a computation graph.

    data:     the number, a float.
    grad:     d(root)/d(this), filled in by `root.backward()`. In leaves it adds up over calls until you set it to zero.
    children: the Values this one was computed from, a tuple (empty in a leaf).
    local:    d(this)/d(child), one float per child, in the same order.
    op:       the name of the operation, for pictures; label: a name of yours, for pictures.
    """

    __slots__ = ("children", "data", "grad", "label", "local", "op")

    def __init__(self, data, children=(), local=(), op="", label=""):
        self.data = float(data)
        self.grad = 0.0
        self.children = children
        self.local = local
        self.op = op
        self.label = label

    def __repr__(self):
        return f"Value({self.data:.4g}, grad={self.grad:.4g})"

    # Operations on two numbers. `other` may be a Value, an int or a float.

    def __add__(self, other):
        other = as_value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0), "+")

    def __mul__(self, other):
        other = as_value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data), "*")

    def __sub__(self, other):
        other = as_value(other)
        return Value(self.data - other.data, (self, other), (1.0, -1.0), "-")

    def __truediv__(self, other):
        other = as_value(other)
        if other.data == 0:
            raise ZeroDivisionError(f"division: {self.data:g} / 0")
        ratio = self.data / other.data
        return Value(ratio, (self, other), (1 / other.data, -ratio / other.data), "/")

    def __pow__(self, exponent):
        """self ** exponent. Raises ValueError where the result or a derivative it needs is not a real number:
        a negative base with a fractional exponent, or a base that is not positive under a Value exponent (its
        derivative contains log(base)). A plain number as exponent has no such limit."""
        base, power = self.data, as_value(exponent).data
        if base < 0 and not power.is_integer():
            raise ValueError(f"power: {base:g} ** {power:g} is not a real number")
        if base == 0 and power < 0:
            raise ZeroDivisionError(f"power: 0 ** {power:g}")
        if isinstance(exponent, Value) and base <= 0:
            raise ValueError(f"power: with a Value as exponent the base must be positive, and it is {base:g}")
        try:
            result = base**power
            if power == 0:
                slope = 0.0
            elif base == 0 and power < 1:
                slope = math.inf  # a root is vertical at 0; torch says the same
            else:
                slope = power * base ** (power - 1)
        except OverflowError:
            raise OverflowError(f"power: {base:g} ** {power:g}, or its derivative, is too large") from None
        if isinstance(exponent, Value):
            return Value(result, (self, exponent), (slope, result * math.log(base)), "**")
        return Value(result, (self,), (slope,), f"**{power:g}")

    # Functions of one number.

    def __neg__(self):
        return Value(-self.data, (self,), (-1.0,), "neg")

    def exp(self):
        try:
            result = math.exp(self.data)
        except OverflowError:
            raise OverflowError(f"exp: e ** {self.data:g} is too large") from None
        return Value(result, (self,), (result,), "exp")

    def log(self):
        if self.data <= 0:
            raise ValueError(f"log: needs a positive number, and it is {self.data:g}")
        return Value(math.log(self.data), (self,), (1 / self.data,), "log")

    def tanh(self):
        result = math.tanh(self.data)
        return Value(result, (self,), (1 - result * result,), "tanh")

    def sigmoid(self):
        # Two forms of one function: each takes exp of a negative number only, which cannot overflow.
        small = math.exp(-abs(self.data))
        result = 1 / (1 + small) if self.data >= 0 else small / (1 + small)
        return Value(result, (self,), (result * (1 - result),), "sigmoid")

    def relu(self):
        # At exactly 0 the slope could be anything from 0 to 1; everyone, torch included, takes 0. And nan stays nan.
        return (
            Value(0.0, (self,), (0.0,), "relu")
            if self.data <= 0
            else Value(self.data, (self,), (1.0,), "relu")
        )

    # The same with a plain number on the left: 2 * a calls a.__rmul__(2).

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other):
        return as_value(other) - self

    def __rtruediv__(self, other):
        return as_value(other) / self

    def __rpow__(self, other):
        return as_value(other) ** self

    def backward(self):
        """Fill in `grad`, d(self)/d(node), for every node that self was computed from.

        Leaves add to what they hold, so that several losses can be summed; set their grad to 0 before the next step.
        """
        order = topological_order(self)
        for node in order:
            if node.children:
                node.grad = 0.0
        self.grad += 1.0
        for node in reversed(order):
            for child, slope in zip(node.children, node.local, strict=True):
                child.grad += slope * node.grad  # += : a child used twice is told twice


def as_value(number):
    """The number as a Value; a Value as it is. Raises TypeError for anything but a Value, an int or a float."""
    if isinstance(number, Value):
        return number
    if not isinstance(number, (int, float)):
        raise TypeError(f"an operation takes a Value or a plain number, and this is {number!r}")
    return Value(number)


def topological_order(root):
    """All nodes below root, each after its children; root is last. Without recursion: a chain may have a million nodes.

    A node taken from the stack for the first time goes back on it, marked by a None, under its children: when the marker
    comes up again, everything below the node is in the list, and the node may follow.
    """
    order, seen, stack = [], set(), [root]
    while stack:
        node = stack.pop()
        if node is None:
            order.append(stack.pop())
        elif node not in seen:
            seen.add(node)
            stack += (node, None, *node.children)
    return order
