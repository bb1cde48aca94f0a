"""A GPT's weights under the names that nanoGPT gives them, so that one can be trained here and read there, or the other way round.

    safetensors.torch.save_file(to_nanogpt(model), "gpt.safetensors")
    model = from_nanogpt(safetensors.torch.load_file("gpt.safetensors"), heads=4)

The layout is that of A. Karpathy's nanoGPT (github.com/karpathy/nanoGPT, model.py), whose names go back to GPT-2's; the matrices are
those of Linear layers, (out, in), where GPT-2's own files hold them transposed. Only the plain configuration has a place in it: there
are no names in nanoGPT for rotary positions and the other parts of a later day. Nothing here is pickled: a .pt file of nanoGPT's has to be
opened by torch.load first, and what it keeps under "model" is the state wanted here.
"""

import re

import torch
from torch import Tensor

from lessons_lib.transformer import GPT

__all__ = ["from_nanogpt", "to_nanogpt"]

OUTER = {"tokens": "wte", "places": "wpe", "norm": "ln_f"}
INNER = {
    "norm1": "ln_1",
    "attention.query_key_value": "attn.c_attn",
    "attention.out": "attn.c_proj",
    "norm2": "ln_2",
    "feed_forward.0": "mlp.c_fc",
    "feed_forward.2": "mlp.c_proj",
}
HEAD, TOKENS, PLACES = "lm_head.weight", "transformer.wte.weight", "transformer.wpe.weight"
MASK = r"transformer\.h\.\d+\.attn\.(masked_)?bias"  # not a weight: the triangle that older versions keep beside them
COMPILED = "_orig_mod."  # before every name of a model that torch has compiled, as nanoGPT does unless told otherwise
LATER = ("rotary", "qk_norm", "squared")


def to_nanogpt(model: GPT) -> dict[str, Tensor]:
    """Copies of a model's weights by nanoGPT's names, `transformer.wte.weight` (size, width) to `lm_head.weight`, the same again.

    Type and device are the model's. `dropout` and `zero` concern training and its beginning and leave no trace in the weights.
    Raises ValueError for a model with rotary positions, QK-norm or ReLU squared.
    """
    later = [name for name in LATER if model.settings[name]]
    if later:
        raise ValueError(
            f"nanoGPT has no place for {' and '.join(later)}: only the plain configuration can be written in its layout"
        )
    state = {_outside(name): tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return state | {HEAD: state[TOKENS].clone()}  # no two in one memory, which safetensors would refuse


def from_nanogpt(state: dict[str, Tensor], heads: int) -> GPT:
    """The model to which such weights belong; they are copied, and keep type and device.

    heads: cannot be read off the weights, so it has to be said. Everything else is in the shapes.
    A state without a single bias, which is how nanoGPT trains unless told otherwise, gets biases of zero: the same function. The mask
    buffers `attn.bias` of its older versions are passed over.
    Raises ValueError for a missing or unknown name, a shape that does not fit the others, types that are mixed or no floats, an
    output matrix other than the embedding's, and heads that do not divide the width.
    """
    if state and all(name.startswith(COMPILED) for name in state):
        state = {name.removeprefix(COMPILED): tensor for name, tensor in state.items()}
    state = {name: tensor for name, tensor in state.items() if not re.fullmatch(MASK, name)}
    for name in (TOKENS, PLACES):
        if name not in state or state[name].dim() != 2:
            raise ValueError(f"this is no state of nanoGPT's: it has no matrix {name}")
    (size, width), (block, _) = state[TOKENS].shape, state[PLACES].shape
    layers = len({match[1] for name in state if (match := re.match(r"transformer\.h\.(\d+)\.", name))})
    if not layers:
        raise ValueError("this is no state of nanoGPT's: it has no blocks, transformer.h.0 and so on")
    # Shapes alone: no memory is filled, and no random numbers are drawn that the caller may be counting on.
    with torch.device("meta"):
        model = GPT(size, block=block, width=width, heads=heads, layers=layers)
    names = {_outside(name): name for name in model.state_dict()}
    shapes = {_outside(name): tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if not any(name.endswith(".bias") for name in state):
        like = state[TOKENS]
        state |= {name: like.new_zeros(shapes[name]) for name in names if name.endswith(".bias")}
    _compare(state, shapes | {HEAD: shapes[TOKENS]})
    if not torch.equal(state[HEAD], state[TOKENS]):
        raise ValueError(
            f"{HEAD} differs from {TOKENS}, and a GPT of ours has one matrix for embedding and output"
        )
    ours = {name: state[outside].detach().clone() for outside, name in names.items()}
    model.load_state_dict(ours, assign=True)
    return model


def _outside(name: str) -> str:
    """nanoGPT's name for one of ours: blocks.0.attention.out.bias -> transformer.h.0.attn.c_proj.bias."""
    module, kind = name.rsplit(".", 1)
    if module in OUTER:
        return f"transformer.{OUTER[module]}.{kind}"
    _, number, part = module.split(".", 2)
    return f"transformer.h.{number}.{INNER[part]}.{kind}"


def _compare(state: dict[str, Tensor], shapes: dict[str, tuple]) -> None:
    """ValueError with the first difference between a state and what it should be."""
    for name in shapes:
        if name not in state:
            raise ValueError(f"{name} is missing from this state")
    for name, tensor in state.items():
        if name not in shapes:
            raise ValueError(f"{name} has no place in a GPT of ours")
        if tuple(tensor.shape) != shapes[name]:
            raise ValueError(
                f"{name} should have the shape {shapes[name]}, that of a Linear layer being (out, in), and it has {tuple(tensor.shape)}"
            )
    types = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in state.values()})
    if len(types) > 1 or not state[HEAD].is_floating_point():
        raise ValueError(f"the weights must be floats of one type, and these are {', '.join(types)}")
