"""The network of lesson 5 with BatchNorm, and its gradients without autograd: no graph, no requires_grad, no backward().

Three letters are embedded, one layer with BatchNorm and tanh follows, then the logits of the 27 characters. Parameters are a dictionary
with C (27, 10), W1 (30, H), b1, gain and bias (H,), W2 (H, 27), b2 (27,), in this order. A gradient is called d and what it belongs to.
`forward` and `backward` go the long way, in twenty steps; `loss_and_gradients` knows the two short cuts; `trained` learns with them.
BatchNorm divides by the std with n - 1, in training as in use, where PyTorch takes n in training. Built in lesson 6.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lessons_lib.data import examples
from lessons_lib.ladder import LETTERS
from lessons_lib.training import minibatches, one_cycle

__all__ = [
    "ATOMS",
    "EPS",
    "AdamW",
    "ByHand",
    "backward",
    "forward",
    "initial",
    "loss_and_gradients",
    "start",
    "trained",
]

EPS = 1e-5  # keeps BatchNorm from dividing by zero
CONTEXT, EMBEDDING, HIDDEN = 3, 10, 200
ATOMS = ("emb", "flat", "pre", "mean", "off", "off2", "var", "inv", "norm", "act", "h")
ATOMS += ("logits", "top", "safe", "counts", "total", "share", "probs", "logp", "loss")
KAIMING = (5 / 3) / (CONTEXT * EMBEDDING) ** 0.5


def initial(hidden: int, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Parameters to check gradients with: none is 0 or 1 throughout, for a factor of 1 or a term of 0 would hide a mistake."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    return {
        "C": normal(LETTERS.size, EMBEDDING),
        "W1": KAIMING * normal(CONTEXT * EMBEDDING, hidden),
        "b1": 0.1 * normal(hidden),
        "gain": 1 + 0.1 * normal(hidden),
        "bias": 0.1 * normal(hidden),
        "W2": 0.1 * normal(hidden, LETTERS.size),
        "b2": 0.1 * normal(LETTERS.size),
    }


def forward(parameters: dict[str, Tensor], X: Tensor, Y: Tensor) -> dict[str, Tensor]:
    """The loss in twenty small steps, and what each of them gives, by name, in order. X: (n, 3), Y: (n,) int64, n at least 2."""
    C, W1, b1, gain, bias, W2, b2 = parameters.values()
    n = len(X)
    emb = C[X]  # (n, 3, 10)
    flat = emb.view(n, -1)  # (n, 30)
    pre = flat @ W1 + b1  # (n, H)
    mean = pre.mean(0, keepdim=True)  # (1, H)
    off = pre - mean  # (n, H)
    off2 = off**2
    var = off2.sum(0, keepdim=True) / (n - 1)  # (1, H)
    inv = (var + EPS) ** -0.5
    norm = off * inv  # (n, H)
    act = gain * norm + bias
    h = act.tanh()
    logits = h @ W2 + b2  # (n, 27)
    top = logits.max(1, keepdim=True).values  # (n, 1)
    safe = logits - top  # (n, 27)
    counts = safe.exp()
    total = counts.sum(1, keepdim=True)  # (n, 1)
    share = total**-1
    probs = counts * share  # (n, 27)
    logp = probs.log()
    loss = -logp[torch.arange(n), Y].mean()
    known = emb, flat, pre, mean, off, off2, var, inv, norm, act
    known += h, logits, top, safe, counts, total, share, probs, logp, loss
    return dict(zip(ATOMS, known, strict=True))


def backward(
    parameters: dict[str, Tensor], X: Tensor, Y: Tensor, atoms: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The gradient of the loss at every step of `forward` and at every parameter, each of the shape of what it belongs to.

    atoms: what forward(parameters, X, Y) gave. The dictionary is in the order of computing, from dlogp back to dC.
    """
    a, n, d = atoms, len(X), {}
    d["dlogp"] = torch.zeros_like(a["logp"])
    d["dlogp"][torch.arange(n), Y] = -1 / n
    d["dprobs"] = d["dlogp"] / a["probs"]
    d["dshare"] = (d["dprobs"] * a["counts"]).sum(1, keepdim=True)  # broadcast over 27 columns
    d["dtotal"] = -d["dshare"] * a["share"] ** 2
    d["dcounts"] = d["dprobs"] * a["share"] + d["dtotal"]  # used twice
    d["dsafe"] = d["dcounts"] * a["counts"]
    d["dtop"] = -d["dsafe"].sum(1, keepdim=True)
    place = a["logits"].argmax(1, keepdim=True)
    d["dlogits"] = d["dsafe"].scatter_add(1, place, d["dtop"])  # used twice, and the maximum routes
    d["dh"] = d["dlogits"] @ parameters["W2"].T
    d["dW2"] = a["h"].T @ d["dlogits"]
    d["db2"] = d["dlogits"].sum(0)
    d["dact"] = d["dh"] * (1 - a["h"] ** 2)
    d["dgain"] = (d["dact"] * a["norm"]).sum(0)
    d["dbias"] = d["dact"].sum(0)
    d["dnorm"] = d["dact"] * parameters["gain"]
    d["dinv"] = (d["dnorm"] * a["off"]).sum(0, keepdim=True)
    d["dvar"] = -0.5 * (a["var"] + EPS) ** -1.5 * d["dinv"]
    d["doff2"] = (d["dvar"] / (n - 1)).expand_as(a["off2"])  # a sum copies backwards
    d["doff"] = d["dnorm"] * a["inv"] + 2 * a["off"] * d["doff2"]  # used twice
    d["dmean"] = -d["doff"].sum(0, keepdim=True)
    d["dpre"] = d["doff"] + d["dmean"] / n  # used twice
    d["dW1"] = a["flat"].T @ d["dpre"]
    d["db1"] = d["dpre"].sum(0)
    d["dflat"] = d["dpre"] @ parameters["W1"].T
    d["demb"] = d["dflat"].view_as(a["emb"])
    d["dC"] = torch.zeros_like(parameters["C"]).index_add_(0, X.view(-1), d["demb"].view(-1, EMBEDDING))
    return d


def loss_and_gradients(
    parameters: dict[str, Tensor], X: Tensor, Y: Tensor
) -> tuple[float, dict[str, Tensor], Tensor, Tensor]:
    """The short way: (loss, gradients by the parameters' names, mean, var), the last two being the batch's, (1, H) each.

    Softmax and cross-entropy are one line backwards, and BatchNorm is one line; inside it two sums turn out to be the gradients of bias
    and gain, so they are taken once.
    """
    C, W1, b1, gain, bias, W2, b2 = parameters.values()
    n, labels = len(X), torch.arange(len(X))
    flat = C[X].view(n, -1)
    pre = flat @ W1 + b1
    mean = pre.mean(0, keepdim=True)
    off = pre - mean
    var = (off * off).sum(0, keepdim=True) / (n - 1)
    inv = (var + EPS) ** -0.5
    norm = off * inv
    h = (gain * norm + bias).tanh()
    logp = (h @ W2 + b2).log_softmax(1)
    loss = -logp[labels, Y].mean().item()

    dlogits = logp.exp()
    dlogits[labels, Y] -= 1
    dlogits /= n
    dact = dlogits @ W2.T * (1 - h**2)
    dgain, dbias = (dact * norm).sum(0), dact.sum(0)
    dpre = gain * inv * (dact - dbias / n - norm * dgain / (n - 1))
    dflat = dpre @ W1.T
    dC = torch.zeros_like(C).index_add_(0, X.view(-1), dflat.view(-1, C.shape[1]))
    gradients = dC, flat.T @ dpre, dpre.sum(0), dgain, dbias, h.T @ dlogits, dlogits.sum(0)
    return loss, dict(zip(parameters, gradients, strict=True)), mean, var


class AdamW:
    """The rule of lesson 4 for a dictionary of tensors, changed in place: every number moves by its own running means.

    Loshchilov and Hutter, Decoupled weight decay regularization, 2017 (arXiv 1711.05101).
    """

    def __init__(
        self, parameters: dict[str, Tensor], keep: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ):
        self.parameters, self.keep, self.eps, self.steps = parameters, keep, eps, 0
        self.m = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.v = {name: torch.zeros_like(p) for name, p in parameters.items()}

    def step(self, gradients: dict[str, Tensor], rate: float, decay: float = 0.0) -> None:
        """One step down the gradients, given by the parameters' names."""
        self.steps += 1
        m_part, v_part = (1 - keep**self.steps for keep in self.keep)  # what has come together so far
        for name, p in self.parameters.items():
            g, m, v = gradients[name], self.m[name], self.v[name]
            m += (1 - self.keep[0]) * (g - m)
            v += (1 - self.keep[1]) * (g**2 - v)
            p -= rate * (decay * p + m / m_part / ((v / v_part).sqrt() + self.eps))


class ByHand(NamedTuple):
    """A network trained by hand, in use: BatchNorm takes the running statistics, so that an example has no neighbours."""

    parameters: dict[str, Tensor]
    mean: Tensor  # (1, H)
    var: Tensor  # (1, H)

    @property
    def numbers(self) -> int:
        """How many numbers were learned; the running statistics are not among them."""
        return sum(p.numel() for p in self.parameters.values())

    def __call__(self, X: Tensor) -> Tensor:
        """Logits (N, 27) of contexts (N, 3) int64."""
        C, W1, b1, gain, bias, W2, b2 = self.parameters.values()
        pre = C[X].flatten(1) @ W1 + b1
        norm = (pre - self.mean) * (self.var + EPS) ** -0.5
        return (gain * norm + bias).tanh() @ W2 + b2


def start(
    generator: torch.Generator, dtype: torch.dtype = torch.float32, hidden: int = HIDDEN
) -> dict[str, Tensor]:
    """Parameters to train from, as lesson 5 starts with BatchNorm: weights scaled by their fan-in, unsure logits, b1 = 0."""
    parameters = initial(hidden, generator, dtype)
    parameters["W2"] *= 0.1
    for name in ("b1", "bias", "b2"):
        parameters[name].zero_()
    parameters["gain"].fill_(1)
    return parameters


def trained(
    names: list[str],
    seed: int,
    epochs: int = 12,
    batch: int = 512,
    peak: float = 0.01,
    momentum: float = 0.1,
    dtype: torch.dtype = torch.float32,
) -> ByHand:
    """The network after training on `names`, by hand throughout: AdamW in one cycle, without weight decay.

    seed: decides the start and the order of the examples. peak: the highest rate. momentum: how far a batch moves the running statistics.
    Raises ValueError where the names do not fill one batch.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = start(generator, dtype)
    optimizer = AdamW(parameters)
    running_mean, running_var = torch.zeros(1, HIDDEN, dtype=dtype), torch.ones(1, HIDDEN, dtype=dtype)
    X, Y = examples(names, CONTEXT, LETTERS)
    rate = one_cycle(len(X) // batch * epochs, peak)
    for _ in range(epochs):
        for x, y in minibatches(batch, X, Y, generator=generator):
            _, gradients, mean, var = loss_and_gradients(parameters, x, y)
            running_mean += momentum * (mean - running_mean)
            running_var += momentum * (var - running_var)
            optimizer.step(gradients, rate(optimizer.steps))
    return ByHand(parameters, running_mean, running_var)
