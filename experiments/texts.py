"""What the studies of lesson 8 share: a text cut in two, and a GPT trained on the first part by a recipe."""

import os
import time
from typing import NamedTuple

import torch
from torch import Tensor

from lessons_lib.data import Vocabulary, load_text
from lessons_lib.optim import matrices_decay, muon
from lessons_lib.training import Training, one_cycle
from lessons_lib.transformer import GPT, token_loss

PARTS = ("rotary", "qk_norm", "squared", "zero")  # in the order in which lesson 8 adds them; then Muon


class Text(NamedTuple):
    """A text as tokens: the first nine tenths to learn from, the rest to be judged by. `val_characters`: how many those stand for."""

    train: Tensor
    val: Tensor
    size: int
    val_characters: int


class Recipe(NamedTuple):
    """A GPT and how it is trained. `parts` joins those that are on with +; `optimizer` is adamw, muon or nanoGPT."""

    parts: str = "rotary+qk_norm+squared+zero"
    optimizer: str = "muon"
    layers: int = 3
    heads: int = 4
    width: int = 128
    block: int = 64
    batch: int = 16
    steps: int = 600
    peak: float = 0.01
    decay: float = 0.1
    bits: int = 32


def texts() -> dict[str, str]:
    """The plays, and the lecture's text where LESSONS_DATA names its folder."""
    found = {"bundled": load_text()}
    if os.environ.get("LESSONS_DATA"):
        found["tinyshakespeare"] = load_text("tinyshakespeare")
    return found


def cut(text: str) -> tuple[str, str]:
    """The first nine tenths and the rest, as in the lecture."""
    place = len(text) * 9 // 10
    return text[:place], text[place:]


def in_characters(text: str) -> Text:
    """One token a character."""
    vocabulary = Vocabulary([text], end=None)
    train, val = (torch.tensor(vocabulary.encode(part)) for part in cut(text))
    return Text(train, val, vocabulary.size, len(val))


def build(recipe: Recipe, size: int, seed: int) -> GPT:
    """An untrained network. In 64 bits it is drawn in them, too: in 32 the last digit of a draw depends on the processor."""
    torch.manual_seed(seed)
    shape = {name: getattr(recipe, name) for name in ("layers", "heads", "width", "block")}
    parts = dict.fromkeys(filter(None, recipe.parts.split("+")), True)
    earlier = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if recipe.bits == 64 else torch.float32)
    try:
        return GPT(size, **shape, **parts)
    finally:
        torch.set_default_dtype(earlier)


def optimizer_for(model: GPT, kind: str, decay: float) -> torch.optim.Optimizer:
    """AdamW or Muon; the third is AdamW as nanoGPT sets it: only matrices decay, and gradients have length 1 at most."""
    if kind == "muon":
        return muon(model, decay=decay)
    if kind != "nanoGPT":
        return torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), weight_decay=decay, fused=True)
    optimizer = torch.optim.AdamW(matrices_decay(model, decay), betas=(0.9, 0.99), fused=True)
    optimizer.register_step_pre_hook(lambda *_: clip(model))
    return optimizer


def clip(model: GPT) -> None:
    """Gradients of length 1 at most, as in lesson 5."""
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)


def schedule(recipe: Recipe):
    """One cycle; nanoGPT's is 100 steps up, then a cosine down to a tenth."""
    if recipe.optimizer != "nanoGPT":
        return one_cycle(recipe.steps, recipe.peak)
    down = 1 + torch.cos(torch.pi * torch.arange(recipe.steps).sub(100).clamp(min=0) / (recipe.steps - 100))
    up = torch.arange(1, recipe.steps + 1) / 101
    return (recipe.peak * torch.minimum(up, 0.1 + 0.45 * down)).tolist().__getitem__


def rows(numbers: Tensor, block: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """The rows of a whole run, (count, block), from places drawn at random, and what follows each token."""
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(numbers) - block, (count, 1), generator=generator)
    places = starts + torch.arange(block)
    return numbers[places], numbers[places + 1]


def trained(recipe: Recipe, text: Text, seed: int, watch=None) -> tuple[GPT, float]:
    """A GPT after its recipe, and the seconds of the processor that its training took, whatever else the machine did."""
    model = build(recipe, text.size, seed)
    run = Training(
        model,
        optimizer_for(model, recipe.optimizer, recipe.decay),
        rows(text.train, recipe.block, recipe.steps * recipe.batch, seed),
        epochs=1,
        batch=recipe.batch,
        rate=schedule(recipe),
        seed=seed,
        loss=token_loss,
        watch=watch,
    )
    began = time.process_time()
    run.run()
    return model, time.process_time() - began
