"""The opponent of the bench: a scalar engine of the design most people know, one backward function per node.

Every operation makes its result and a closure over it and its inputs; called, the closure adds to the inputs' gradients.
Backward sorts the graph and calls the closures. The design reads well, and two of its properties cost: a product is seven
objects for Python's garbage collector to look at, three in `lessons_lib.autograd`; and it refers to its closure, which refers
to it. Such a circle is not freed when the last name for it goes. It waits for the collector.

For timing only: it has the operations that the network of lesson 1 needs, and no checks of its input.
"""

__all__ = ["Value"]


class Value:
    """A scalar in a computation graph: its number, d(root)/d(this), its children, and the function that tells them theirs."""

    def __init__(self, data, children=()):
        self.data = data
        self.grad = 0.0
        self._children = set(children)
        self._backward = lambda: None

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        result = Value(self.data + other.data, (self, other))

        def backward():
            self.grad += result.grad
            other.grad += result.grad

        result._backward = backward
        return result

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        result = Value(self.data * other.data, (self, other))

        def backward():
            self.grad += other.data * result.grad
            other.grad += self.data * result.grad

        result._backward = backward
        return result

    def relu(self):
        result = Value(self.data if self.data > 0 else 0.0, (self,))

        def backward():
            self.grad += (result.data > 0) * result.grad

        result._backward = backward
        return result

    # The rest is made of these three.

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return other + -self

    def __truediv__(self, number):
        return self * (1 / number)

    __radd__ = __add__
    __rmul__ = __mul__

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for child in node._children:
                    visit(child)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            node._backward()
