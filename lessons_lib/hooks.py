"""Listen to a model's layers while it runs, and leave no trace: the two context managers under `diagnostics`. Built in lesson 5."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["kind", "listening", "undisturbed", "unit_axis"]

ACTIVATIONS = {"Tanh", "Sigmoid", "ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "SELU", "CELU"}
ACTIVATIONS |= {"GELU", "SiLU", "Mish", "Softplus", "Softsign", "Hardtanh", "Hardsigmoid", "Hardswish"}


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Training mode inside the block; afterwards every module's attributes and buffers and torch's random state are as before."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"an nn.Module is wanted, and this is {type(model).__name__}")
    # vars(module) holds `training`, and whatever a module of the learner's own keeps. Tensors that may be written to are lent as
    # copies: even a change that is undone later would spoil a backward pass that still waits for them.
    places = [place for module in model.modules() for place in (vars(module), module._buffers)]
    before = [(place, dict(place)) for place in places]
    tensors = [t for _, items in before for t in items.values() if isinstance(t, Tensor)]
    lent = {id(t): t.clone() for t in tensors if not t.requires_grad}
    devices = sorted({p.device.index for p in model.parameters() if p.is_cuda})
    try:
        for place, items in before:
            place.update({name: lent.get(id(value), value) for name, value in items.items()})
        with torch.random.fork_rng(devices):
            model.train()
            yield
    finally:
        for place, items in before:
            place.clear()
            place.update(items)


@contextmanager
def listening(model: nn.Module, layers, look: Callable[[str, nn.Module, Tensor], None]) -> Iterator[None]:
    """Inside the block, look(name, module, output) is called whenever one of the layers has run.

    layers: None, or names, types and modules, one or several; ValueError for one that the model lacks (see `diagnostics.examine`).
    """

    def hook(name: str) -> Callable:
        def call(module, _, output):
            tensor = _first_tensor(output)
            if tensor is not None and tensor.is_floating_point() and tensor.dim():
                look(name, module, tensor)

        return call

    handles = [module.register_forward_hook(hook(name)) for name, module in _chosen(model, layers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _chosen(model: nn.Module, layers) -> list[tuple[str, nn.Module]]:
    named = list(model.named_modules())
    if layers is None:
        active = [(name, module) for name, module in named if kind(module) in ACTIVATIONS]
        return active or [(name, module) for name, module in named if not list(module.children())]
    wanted = [layers] if isinstance(layers, str | type | nn.Module) else list(layers)
    types = tuple(w for w in wanted if isinstance(w, type))
    found = [(n, m) for n, m in named if n in wanted or isinstance(m, types) or any(m is w for w in wanted)]
    known = [*types, *(x for pair in found for x in pair)]
    if not found or any(all(w is not k and w != k for k in known) for w in wanted):
        raise ValueError(f"the model has no such layer as {layers!r}; it has {[n for n, _ in named if n]}")
    return found


def kind(module: nn.Module) -> str:
    """The name of the module's class, or of the activation it is derived from."""
    names = [cls.__name__ for cls in type(module).__mro__]
    return next((name for name in names if name in ACTIVATIONS), names[0])


def _first_tensor(output) -> Tensor | None:
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, tuple | list):
        return next((t for item in output if (t := _first_tensor(item)) is not None), None)
    return output if isinstance(output, Tensor) else None


def unit_axis(model: nn.Module, output: Tensor) -> int:
    convolutional = any("Conv" in type(module).__name__ for module in model.modules())
    return 1 if output.dim() > 3 or (output.dim() == 3 and convolutional) else -1
