"""The steps that the gradient microscope of lesson 6 goes through: the forward pass line by line, and the twenty gradients back."""

import re
from typing import NamedTuple

__all__ = ["ARGUMENTS", "LINES", "STEPS", "Step"]

LINES = (
    "emb = C[X]",
    "flat = emb.view(n, -1)",
    "pre = flat @ W1 + b1",
    "mean = pre.mean(0, keepdim=True)",
    "off = pre - mean",
    "off2 = off**2",
    "var = off2.sum(0, keepdim=True) / (n - 1)",
    "inv = (var + EPS) ** -0.5",
    "norm = off * inv",
    "act = gain * norm + bias",
    "h = act.tanh()",
    "logits = h @ W2 + b2",
    "top = logits.max(1, keepdim=True).values",
    "safe = logits - top",
    "counts = safe.exp()",
    "total = counts.sum(1, keepdim=True)",
    "share = total**-1",
    "probs = counts * share",
    "logp = probs.log()",
    "loss = -logp[range(n), Y].mean()",
)
"""The forward pass, as it is shown and as it is run."""


class Step(NamedTuple):
    """One gradient. exercise, function: where the lesson asks for it. rule: what the line does on the way back, in words."""

    name: str
    exercise: str
    function: str
    rule: str

    @property
    def of(self) -> str:
        """What it is the gradient of."""
        return self.name[1:]

    @property
    def lines(self) -> list[str]:
        """The forward lines that use it, in order."""
        return [line for line in LINES if re.search(rf"\b{self.of}\b", line.partition("=")[2])]


LOCAL, SUM, TWICE = (
    "the slope there times what comes back",
    "broadcast forward, sum backward",
    "used twice, add",
)
PRODUCT, COPY = "a matrix product, by its shapes", "summed forward, copied backward"
STEPS = (
    Step("dlogp", "6.1", "d_logp", "gathered forward, scattered backward"),
    Step("dprobs", "6.2", "d_probs", LOCAL),
    Step("dshare", "6.3", "d_share", SUM),
    Step("dcounts", "6.4", "d_counts", TWICE),
    Step("dlogits", "6.5", "d_logits", f"{TWICE}; the maximum routes"),
    Step("dh", "6.6", "d_linear", PRODUCT),
    Step("dW2", "6.6", "d_linear", PRODUCT),
    Step("db2", "6.6", "d_linear", SUM),
    Step("dact", "6.7", "d_act", LOCAL),
    Step("dgain", "6.8", "d_gain_bias_norm", SUM),
    Step("dbias", "6.8", "d_gain_bias_norm", SUM),
    Step("dnorm", "6.8", "d_gain_bias_norm", LOCAL),
    Step("dvar", "6.9", "d_var", SUM),
    Step("doff2", "6.10", "d_off2", COPY),
    Step("doff", "6.11", "d_off", TWICE),
    Step("dpre", "6.12", "d_pre", TWICE),
    Step("dW1", "6.13", "d_first", PRODUCT),
    Step("db1", "6.13", "d_first", SUM),
    Step("demb", "6.13", "d_first", "the same numbers in their first shape"),
    Step("dC", "6.14", "d_C", "gathered forward, scattered and added backward"),
)
ARGUMENTS = {  # of the functions that exercises 6.1 to 6.14 ask for
    "d_logp": "logp Y",
    "d_probs": "dlogp probs",
    "d_share": "dprobs counts",
    "d_counts": "dprobs dshare counts share",
    "d_logits": "dcounts counts logits",
    "d_linear": "dlogits h W2",
    "d_act": "dh h",
    "d_gain_bias_norm": "dact gain norm",
    "d_var": "dnorm off var",
    "d_off2": "dvar off2",
    "d_off": "dnorm inv doff2 off",
    "d_pre": "doff",
    "d_first": "dpre emb W1",
    "d_C": "demb X rows",
}
