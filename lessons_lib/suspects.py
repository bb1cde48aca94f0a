"""Three backward passes by three hands, for the network of lesson 6. Two of them are wrong, in one line each, and train all the same.

Opening this file is looking at the answers. The microscope of lesson 6 finds both mistakes without reading a line of it.
Each takes what `by_hand.backward` takes, and gives the gradients of the microscope's twenty steps by name, "dlogp" to "dC".
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lessons_lib import by_hand
from lessons_lib.by_hand import EPS
from lessons_lib.microscope_steps import STEPS

__all__ = ["suspect_A", "suspect_B", "suspect_C", "train"]

NAMES = [step.name for step in STEPS]
Gradients = dict[str, Tensor]


def suspect_A(parameters: Gradients, X: Tensor, Y: Tensor, atoms: Gradients) -> Gradients:
    """Goes back line by line, and gives every tensor its name."""
    _, W1, _, gain, _, W2, _ = parameters.values()
    emb, flat, _, _, off, _, var, inv, norm, _, h, logits, _, _, counts, _, share, probs, logp, _ = (
        atoms.values()
    )
    n = len(X)
    dlogp = torch.zeros_like(logp)
    dlogp[range(n), Y] = -1 / n
    dprobs = dlogp / probs
    dshare = (dprobs * counts).sum(1, keepdim=True)
    dcounts = dprobs * share - dshare * share**2
    dlogits = dcounts * counts
    dlogits[range(n), logits.argmax(1)] -= (dcounts * counts).sum(1)
    dh, dW2, db2 = dlogits @ W2.T, h.T @ dlogits, dlogits.sum(0)
    dact = dh * (1 - h)
    dgain, dbias, dnorm = (dact * norm).sum(0), dact.sum(0), dact * gain
    dvar = -0.5 * (var + EPS) ** -1.5 * (dnorm * off).sum(0, keepdim=True)
    doff2 = (dvar / (n - 1)).repeat(n, 1)
    doff = dnorm * inv + 2 * off * doff2
    dpre = doff - doff.mean(0)
    dW1, db1, demb = flat.T @ dpre, dpre.sum(0), (dpre @ W1.T).view_as(emb)
    dC = torch.zeros_like(parameters["C"])
    dC.index_add_(0, X.flatten(), demb.flatten(0, 1))
    found = (dlogp, dprobs, dshare, dcounts, dlogits, dh, dW2, db2, dact, dgain, dbias, dnorm, dvar, doff2)
    return dict(zip(NAMES, (*found, doff, dpre, dW1, db1, demb, dC), strict=True))


def suspect_B(parameters: Gradients, X: Tensor, Y: Tensor, atoms: Gradients) -> Gradients:
    """Trusts formulas more than steps, and indices more than either."""
    a, p, n, d = atoms, parameters, len(X), {}
    right = torch.nn.functional.one_hot(Y, a["logp"].shape[1]).to(a["logp"])  # 1 at the label
    d["dlogp"] = -right / n
    d["dprobs"] = -right / a["probs"] / n
    d["dshare"] = -a["total"] / n
    d["dcounts"] = (1 - right / a["probs"]) * a["share"] / n
    d["dlogits"] = (a["probs"] - right) / n
    d["dh"] = torch.einsum("nk,hk->nh", d["dlogits"], p["W2"])
    d["dW2"] = torch.einsum("nh,nk->hk", a["h"], d["dlogits"])
    d["db2"] = torch.einsum("nk->k", d["dlogits"])
    d["dact"] = d["dh"] / a["act"].cosh() ** 2
    d["dgain"] = torch.einsum("nh,nh->h", d["dact"], a["norm"])
    d["dbias"] = torch.einsum("nh->h", d["dact"])
    d["dnorm"] = d["dact"] * p["gain"]
    d["dvar"] = -p["gain"] * d["dgain"] * a["inv"] ** 2 / 2
    d["doff2"] = d["dvar"].expand(n, -1) / (n - 1)
    d["doff"] = a["inv"] * p["gain"] * (d["dact"] - a["norm"] * d["dgain"] / (n - 1))
    d["dpre"] = d["doff"] - a["inv"] * p["gain"] * d["dbias"] / n
    d["dW1"] = torch.einsum("ni,nh->ih", a["flat"], d["dpre"])
    d["db1"] = torch.zeros_like(p["b1"])
    d["demb"] = torch.einsum("nh,cih->nci", d["dpre"], p["W1"].view(*a["emb"].shape[1:], -1))
    letters = torch.nn.functional.one_hot(X, len(p["C"])).to(a["emb"])
    d["dC"] = torch.einsum("ncl,nci->li", letters, d["demb"])
    return d


def suspect_C(parameters: Gradients, X: Tensor, Y: Tensor, atoms: Gradients) -> Gradients:
    """A function of its own for each line of the forward pass, put together at the end."""
    a, p, n = atoms, parameters, len(X)

    def through_the_loss():
        dlogp = torch.zeros_like(a["logp"])
        dlogp.index_put_((torch.arange(n), Y), dlogp.new_tensor(-1 / n))
        return dlogp, dlogp / a["probs"]

    def through_softmax(dprobs):
        dshare = (a["counts"] * dprobs).sum(1, keepdim=True)
        dcounts = (dprobs - dshare * a["share"]) * a["share"]
        dsafe = dcounts * a["counts"]
        to_the_largest = torch.zeros_like(dsafe).scatter(1, a["logits"].argmax(1, True), 1)
        return dshare, dcounts, dsafe - to_the_largest * dsafe.sum(1, keepdim=True)

    def through_a_layer(dout, x, W):
        return dout @ W.T, x.T @ dout, dout.sum(0)

    def through_tanh(dh):
        return dh - dh * a["h"] * a["h"]

    def through_batchnorm(dact):
        dnorm = p["gain"] * dact
        dvar = (dnorm * a["off"]).sum(0, keepdim=True) / (-2 * (a["var"] + EPS) * (a["var"] + EPS).sqrt())
        doff2 = dvar.expand_as(dact) / (n - 1)
        doff = dnorm * a["inv"] + doff2 * a["off"] * 2
        dpre = doff * 1  # pre enters off with the slope 1
        return (dact * a["norm"]).sum(0), dact.sum(0), dnorm, dvar, doff2, doff, dpre

    first = through_the_loss()
    second = through_softmax(first[1])
    dh, dW2, db2 = through_a_layer(second[2], a["h"], p["W2"])
    dact = through_tanh(dh)
    third = through_batchnorm(dact)
    dflat, dW1, db1 = through_a_layer(third[-1], a["flat"], p["W1"])
    demb = dflat.reshape(a["emb"].shape)
    dC = torch.zeros_like(p["C"]).index_put((X,), demb, accumulate=True)
    return dict(zip(NAMES, (*first, *second, dh, dW2, db2, dact, *third, dW1, db1, demb, dC), strict=True))


def train(
    backward: Callable,
    X: Tensor,
    Y: Tensor,
    steps: int = 300,
    batch: int = 64,
    rate: float = 0.5,
    hidden: int = 200,
    seed: int = 1,
) -> list[float]:
    """The losses of a run by plain descent with one of the backward passes, or `by_hand.backward`; a loss is that before its step.

    X: (N, 3), Y: (N,). The seed decides the start and the batches, so that two runs differ in nothing but their gradients. In float64.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters, losses = by_hand.start(generator, torch.float64, hidden), []
    for _ in range(steps):
        rows = torch.randint(len(X), (batch,), generator=generator)
        atoms = by_hand.forward(parameters, X[rows], Y[rows])
        gradients = backward(parameters, X[rows], Y[rows], atoms)
        losses.append(atoms["loss"].item())
        for name, p in parameters.items():
            p -= rate * gradients[f"d{name}"]
    return losses
