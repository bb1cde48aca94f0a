"""Numbers about what goes on inside a network: outputs, gradients and updates, layer by layer. Built in lesson 5.

`examine` takes one look at any `nn.Module` and gives a `Report`, which `figures` draws and `verdicts` judges; `UpdateRatios` follows
a training. Both listen by hooks and leave the model as it was. The idea of hooks that collect statistics of activations is fastai's.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from lessons_lib.bands import (
    ACTIVATION_STD,
    DEAD_SHARE,
    GRADIENT_FACTOR,
    SATURATED_AT,
    SATURATED_SHARE,
    UPDATE_RATIO,
    is_saturated,
    verdicts,
)
from lessons_lib.hooks import kind, listening, undisturbed, unit_axis
from lessons_lib.updates import UpdateRatios, std

__all__ = [
    "ACTIVATION_STD",
    "DEAD_SHARE",
    "GRADIENT_FACTOR",
    "SATURATED_AT",
    "SATURATED_SHARE",
    "UPDATE_RATIO",
    "Histogram",
    "LayerStats",
    "Report",
    "UpdateRatios",
    "WeightStats",
    "examine",
    "is_saturated",
    "saturation",
    "stds",
    "verdicts",
]

BINS = 60
NOTHING = "none of these layers gave real numbers when the model ran: name others in `layers`"


class Histogram(NamedTuple):
    """edges: (61,), density: (60,); both float64. Exact zeros are counted in the whole and have no bar: the area is the share of others."""

    edges: Tensor
    density: Tensor


class LayerStats(NamedTuple):
    """One layer's outputs in one batch, and the gradient of the loss with respect to them.

    name: as in `named_modules`, "#2" behind it at a second use. kind: the module's class. shape: of the output. saturated: share of
    the outputs, dead: share of the units, both None where the kind has no flat end (all but Tanh, Sigmoid, ReLU). gradient_std and
    gradients are None where no gradient arrives. gradients: histogram of log10 |gradient|.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    mean: float
    std: float
    saturated: float | None
    dead: float | None
    activations: Histogram
    gradient_std: float | None = None
    gradients: Histogram | None = None

    @property
    def label(self) -> str:
        return f"{self.name} {self.kind}" if self.name else self.kind


class WeightStats(NamedTuple):
    """One parameter with two dimensions or more: std of its numbers and of its gradient, and their ratio.

    ratio: gradient_std / std. update_ratio: rate * gradient_std / std, which is what a step of plain SGD would change. None: no
    gradient, no rate given, or all numbers of the parameter equal.
    """

    name: str
    shape: tuple[int, ...]
    std: float
    gradient_std: float | None
    ratio: float | None
    update_ratio: float | None


class Report(NamedTuple):
    """What `examine` saw: the loss, the layers in the order in which they ran, the weights in the model's order. Prints as a table."""

    loss: float
    layers: list[LayerStats]
    weights: list[WeightStats]

    def __str__(self) -> str:
        width = max(len(layer.label) for layer in self.layers)
        lines = [f"{'layer':{width}}    mean     std  saturated   dead  gradient std"]
        for layer in self.layers:
            shares = f"{_percent(layer.saturated):>9}  {_percent(layer.dead):>5}"
            gradient = "-" if layer.gradient_std is None else f"{layer.gradient_std:.1e}"
            lines.append(
                f"{layer.label:{width}}  {layer.mean:6.2f}  {layer.std:6.3f}  {shares}  {gradient:>12}"
            )
        return "\n".join([*lines, f"loss {self.loss:.4f}"])

    __repr__ = __str__


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def examine(
    model: nn.Module,
    X: Tensor,
    Y: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    rate: float | None = None,
    layers: Iterable | type | str | None = None,
) -> Report:
    """Look into a model: one forward and one backward pass over one batch, in training mode, that changes nothing.

    Parameters, gradients, modes, buffers (so BatchNorm's running statistics) and the random state are afterwards what they were,
    also when the model raises. loss: loss(model(X), Y) -> a single number. rate: learning rate, for the weights' update ratios.
    layers: module types or names to look at. Without it: the activation modules, known by the name of their class (so your own `Tanh`
    counts); where a model has none, every module without children. Of several outputs the first tensor counts; whole numbers are
    passed over. Units are the last dimension, in images and in models with a convolution the second.
    Raises ValueError for a layer the model lacks, for an empty batch, and where no layer has anything to show.
    """
    stats, edges = [], []

    def look(name: str, module: nn.Module, output: Tensor) -> None:
        stats.append(_layer(name, module, output.detach(), unit_axis(model, output)))
        # Now, for what comes next may change the output in place.
        edges.append(get_gradient_edge(output) if output.requires_grad else None)

    with undisturbed(model), torch.enable_grad():
        with listening(model, layers, look):
            value = loss(model(X), Y)
        # Nobody listens any more: a model with checkpointed activations runs again while its gradients are found.
        named = [(name, p) for name, p in model.named_parameters() if p.dim() >= 2]
        gradients = _gradients(value, edges + [p if p.requires_grad else None for _, p in named])
    if not stats:
        raise ValueError(NOTHING)
    of_layers, of_weights = gradients[: len(stats)], gradients[len(stats) :]
    stats = [_with_gradient(layer, gradient) for layer, gradient in zip(stats, of_layers, strict=True)]
    weights = [_weight(*pair, gradient, rate) for pair, gradient in zip(named, of_weights, strict=True)]
    return Report(value.item(), _numbered(stats), weights)


def stds(model: nn.Module, X: Tensor, layers: Iterable | type | str | None = None) -> list[tuple[str, float]]:
    """(label, std of its outputs) for each layer, in the order in which they run: a forward pass that changes nothing.

    layers, and what is raised: as in `examine`.
    """
    stats = []

    def look(name: str, module: nn.Module, output: Tensor) -> None:
        stats.append(_layer(name, module, output, unit_axis(model, output)))

    with undisturbed(model), torch.no_grad(), listening(model, layers, look):
        model(X)
    if not stats:
        raise ValueError(NOTHING)
    return [(layer.label, layer.std) for layer in _numbered(stats)]


def saturation(model: nn.Module, X: Tensor, layer: str | nn.Module, limit: float = 0.99) -> Tensor:
    """Which outputs of one layer are saturated: (N, units) bool, a row for each example; an all-True column is a dead unit.

    layer: the module or its name in `named_modules`; Tanh, Sigmoid or ReLU, else ValueError. limit: for `is_saturated`. Positions
    in time or in an image give rows of their own; of several uses the last counts. Changes nothing.
    """
    found = []

    def look(name: str, module: nn.Module, output: Tensor) -> None:
        flags = is_saturated(output, kind(module), limit)
        if flags is None:
            raise ValueError(f"{kind(module)} has no flat end to saturate at, as Tanh, Sigmoid and ReLU have")
        found.append(_rows(flags, unit_axis(model, output)))

    with undisturbed(model), torch.no_grad(), listening(model, layer, look):
        model(X)
    if not found:
        raise ValueError(f"the layer {layer!r} did not run")
    return found[-1]


# From tensors to numbers.


def _histogram(values: Tensor, whole: int) -> Histogram:
    values = values[values.isfinite()].double().cpu()
    low, high = (values.min().item(), values.max().item()) if len(values) else (0.0, 0.0)
    if high - low <= 1e-12 * max(abs(low), abs(high)):  # all alike: one bar, of width 1 or so
        low, high = low - 0.5 * max(abs(low), 1), high + 0.5 * max(abs(high), 1)
    density = torch.histc(values, BINS, low, high) * BINS / (whole * (high - low))
    return Histogram(torch.linspace(low, high, BINS + 1, dtype=torch.float64), density)


def _layer(name: str, module: nn.Module, output: Tensor, unit_axis: int) -> LayerStats:
    if not output.numel():
        raise ValueError(
            f"{name or kind(module)} gave a tensor of shape {tuple(output.shape)}: the batch is empty"
        )
    flags = is_saturated(output, kind(module))
    dead = None if flags is None else _rows(flags, unit_axis).all(0)
    return LayerStats(
        name,
        kind(module),
        tuple(output.shape),
        output.double().mean().item(),
        std(output),
        None if flags is None else flags.double().mean().item(),
        None if dead is None else dead.double().mean().item(),
        _histogram(output[output != 0], output.numel()),
    )


def _rows(flags: Tensor, unit_axis: int) -> Tensor:
    """(rows, units); an output (N,), one number for each example, has a single unit."""
    return flags[:, None] if flags.dim() == 1 else flags.movedim(unit_axis, -1).flatten(0, -2)


def _gradients(value: Tensor, targets: list) -> list[Tensor | None]:
    """d value / d target for each target, None where there is none; `.grad` of the parameters is not touched."""
    wanted = [target for target in targets if target is not None]
    found = iter(torch.autograd.grad(value, wanted, allow_unused=True) if wanted else ())
    return [None if target is None else next(found) for target in targets]


def _with_gradient(layer: LayerStats, gradient: Tensor | None) -> LayerStats:
    if gradient is None:
        return layer
    sizes = gradient[gradient != 0].double().abs().log10()
    return layer._replace(gradient_std=std(gradient), gradients=_histogram(sizes, gradient.numel()))


def _weight(name: str, parameter: Tensor, gradient: Tensor | None, rate: float | None) -> WeightStats:
    size, gradient_std = std(parameter.detach()), None if gradient is None else std(gradient)
    ratio = gradient_std / size if size and gradient is not None else None
    update = None if ratio is None or rate is None else rate * ratio
    return WeightStats(name, tuple(parameter.shape), size, gradient_std, ratio, update)


def _numbered(layers: list[LayerStats]) -> list[LayerStats]:
    """A module that ran several times: its name, and #1, #2, ... behind it."""
    often, so_far, numbered = Counter(layer.name for layer in layers), Counter(), []
    for layer in layers:
        so_far[layer.name] += 1
        name = f"{layer.name} #{so_far[layer.name]}".strip() if often[layer.name] > 1 else layer.name
        numbered.append(layer._replace(name=name))
    return numbered
