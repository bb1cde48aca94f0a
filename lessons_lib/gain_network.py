"""The network behind the gain slider of lesson 5: one forward and one backward pass before the first step of training."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lessons_lib.bands import SATURATED_AT

__all__ = ["ACTIVATIONS", "OUTPUTS", "SIZES", "Network", "Numbers"]

ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "leaky relu": F.leaky_relu, "linear": lambda x: x}
DEEPEST = 50

# Edges of the bins: 81 of them, so that 0 lies in the middle of one.
OUTPUTS = np.linspace(-2, 2, 82)
SIZES = np.linspace(-10, 0, 82)  # of log10 |gradient|


class Numbers(NamedTuple):
    """What `compute` gives; every array has an entry or a row for each of the L layers, the first layer first.

    outputs: (L, 81) share of the outputs in each bin of OUTPUTS, gradients: (L, 81) share of the gradients in each bin of SIZES, what
    lies beyond the ends in the outermost bins. beyond: share of all outputs and gradients that does (a gradient of 0 among them).
    flat: (L,) share of outputs that are saturated (tanh) or 0 (relu). std, gradient_std: (L,) of the outputs. ratio, update: (L,)
    log10 of the weights' grad:data and update:data, -inf where there is no gradient.
    """

    activation: str
    outputs: np.ndarray
    gradients: np.ndarray
    beyond: float
    flat: np.ndarray
    std: np.ndarray
    gradient_std: np.ndarray
    ratio: np.ndarray
    update: np.ndarray
    loss: float


class Network:
    """A network of up to 50 layers that reads `context` characters, and the one batch it is shown. All is drawn here, once.

    X: (N, context) int64, Y: (N,) int64, as `data.examples` gives them. width: units of a layer. embedding: numbers for a character.
    batch: so many examples are taken from X and Y, at random; all where there are fewer. seed: of every draw.
    The weights are standard normal numbers, and `compute` scales them, so that two settings differ in nothing but their scale.
    In float64: fifty linear layers at gain 5 reach 1e35, whose square is more than float32 can hold.
    """

    def __init__(
        self, X: Tensor, Y: Tensor, width: int = 100, embedding: int = 10, batch: int = 512, seed: int = 5
    ):
        if X.dim() != 2 or Y.shape != X.shape[:1] or not len(X):
            raise ValueError(
                f"X is (N, context) and Y (N,), N at least 1; here {tuple(X.shape)}, {tuple(Y.shape)}"
            )
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randperm(len(X), generator=generator)[:batch]
        size = int(max(X.max(), Y.max())) + 1

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.inputs = normal(size, embedding)[X[rows]].flatten(1)  # (batch, context * embedding)
        self.targets = Y[rows]
        self.last = normal(width, size)
        self.layers = [normal(self.inputs.shape[1] if i == 0 else width, width) for i in range(DEEPEST)]

    @torch.enable_grad()
    def compute(self, values: dict[str, Any]) -> Numbers:
        """One forward and one backward pass. values: gain 0.1 to 5, activation, depth 2 to 50, BatchNorm, rate; not changed.

        Weights have std gain / sqrt(fan-in), the last layer's 0.1 / sqrt(fan-in), and there is no bias. BatchNorm stands before the
        activation, with the statistics of the batch, gain 1 and bias 0. Raises ValueError, with a sentence, for any other value.
        """
        _refuse(values)
        activation, outputs = ACTIVATIONS[values["activation"]], []
        scales = [values["gain"] / math.sqrt(len(W)) for W in self.layers[: values["depth"]]]
        weights = [(W * scale).requires_grad_() for W, scale in zip(self.layers, scales, strict=False)]
        x = self.inputs
        for W in weights:
            x = x @ W
            if values["BatchNorm"]:
                x = F.batch_norm(x, None, None, training=True)
            x = activation(x)
            outputs.append(x)
        loss = F.cross_entropy(x @ self.last * (0.1 / math.sqrt(len(self.last))), self.targets)
        found = torch.autograd.grad(loss, [*weights, *outputs])
        return _numbers(values, weights, found[: len(weights)], outputs, found[len(weights) :], loss)


def _refuse(values: dict[str, Any]) -> None:
    """Raise ValueError, with a sentence a reader of the slider can act on, for values that are no network of ours."""
    amiss = sorted({"gain", "activation", "depth", "BatchNorm", "rate"} ^ set(values))
    if amiss:
        raise ValueError(f"The values are gain, activation, depth, BatchNorm and rate, so {amiss} is amiss.")
    gain, depth, rate = values["gain"], values["depth"], values["rate"]
    if not _number(gain) or not 0.1 <= gain <= 5:
        raise ValueError(f"The gain goes from 0.1 to 5, and this is {gain!r}.")
    if not isinstance(depth, int) or isinstance(depth, bool) or not 2 <= depth <= DEEPEST:
        raise ValueError(f"The depth is a whole number from 2 to {DEEPEST}, and this is {depth!r}.")
    if not isinstance(values["activation"], str) or values["activation"] not in ACTIVATIONS:
        raise ValueError(f"The activation is {', '.join(ACTIVATIONS)}, not {values['activation']!r}.")
    if not isinstance(values["BatchNorm"], bool):
        raise ValueError(f"The switch BatchNorm is True or False, not {values['BatchNorm']!r}.")
    if not _number(rate) or not 0 < rate <= 1000:
        raise ValueError(f"The rate is a number above 0 and up to 1000, and this is {rate!r}.")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(values, weights, weight_gradients, outputs, output_gradients, loss) -> Numbers:
    """Layer by layer: fifty layers at once are 20 MB, which fit no cache, and take three times as long."""
    outputs = [x.detach() for x in outputs]
    flat = {"tanh": lambda x: x.abs() > SATURATED_AT, "relu": lambda x: x == 0}.get(values["activation"])
    of_outputs = np.stack([_shares(x, OUTPUTS) for x in outputs])
    of_gradients = np.stack([_shares(g.abs().log10(), SIZES) for g in output_gradients])
    ratio = [
        (g.std() / W.detach().std()).log10().item() for W, g in zip(weights, weight_gradients, strict=True)
    ]
    return Numbers(
        values["activation"],
        _folded(of_outputs),
        _folded(of_gradients),
        float(np.mean([shares[:, [0, -1]].sum(1) for shares in (of_outputs, of_gradients)])),
        np.array([flat(x).double().mean().item() if flat else 0.0 for x in outputs]),
        np.array([x.std().item() for x in outputs]),
        np.array([g.std().item() for g in output_gradients]),
        np.array(ratio),
        np.array(ratio) + math.log10(values["rate"]),
        loss.item(),
    )


def _shares(values: Tensor, edges: np.ndarray) -> np.ndarray:
    """(83,) share of the values below the edges, in each of the 81 bins, and above."""
    bins = len(edges) - 1
    places = (values.flatten() - edges[0]) * (bins / (edges[-1] - edges[0]))
    places = places.clamp_(-1, bins).add_(1).long()  # counted from 1, so that cutting off is rounding down
    return torch.bincount(places, minlength=bins + 2).numpy() / len(places)


def _folded(shares: np.ndarray) -> np.ndarray:
    """(L, 83) -> (L, 81): what lies beyond an end counts in the last bin before it."""
    inner = shares[:, 1:-1].copy()
    inner[:, 0] += shares[:, 0]
    inner[:, -1] += shares[:, -1]
    return inner
