"""A GPT: tokens in, at every place logits for the token that follows. Built in lesson 8, part by part; here it is whole.

The plain configuration is GPT-2's (Radford et al., Language models are unsupervised multitask learners, 2019): learned positions,
LayerNorm before each part, GELU, one matrix for embedding and output. Four parts that came later can be switched on one by one. What
generates text from it and looks inside it stands below the network. Not here: training (lessons_lib.training), tokens
(lessons_lib.tokenizers), the names that nanoGPT gives its weights (lessons_lib.nanogpt).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessons_lib.attention import Attention, Past
from lessons_lib.batches import widened
from lessons_lib.data import blocks
from lessons_lib.sampling import choose
from lessons_lib.training import evaluating

__all__ = ["GPT", "Attention", "Block", "FeedForward", "attention_weights", "generate", "logit_lens"]
__all__ += ["text_loss", "token_loss"]


class FeedForward(nn.Sequential):
    """Two linear layers with a bend between them, at each place alone: (B, T, C) -> (B, T, C), 4 C wide inside."""

    def __init__(self, width: int, dropout: float = 0.0, squared: bool = False):
        bend = SquaredReLU() if squared else nn.GELU()
        super().__init__(nn.Linear(width, 4 * width), bend, nn.Linear(4 * width, width), nn.Dropout(dropout))


class SquaredReLU(nn.Module):
    """relu(x)**2, cheaper than GELU. So et al., Primer, 2021 (arXiv 2109.08668)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).square()


class Block(nn.Module):
    """First look around, then think: attention and feed-forward, each behind a LayerNorm and added to what came in."""

    def __init__(self, width: int, heads: int, dropout=0.0, rotary=False, qk_norm=False, squared=False):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout, rotary, qk_norm)
        self.feed_forward = FeedForward(width, dropout, squared)

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        x = x + self.attention(self.norm1(x), past)
        return x + self.feed_forward(self.norm2(x))


class GPT(nn.Module):
    """tokens (B, T) int64, T at most `block` -> logits (B, T, size).

    size:    of the vocabulary. `block`: the longest context. `width`: of the stream, a multiple of `heads`.
    rotary:  positions as rotations of queries and keys, in place of a table that is learned.
    qk_norm: queries and keys of one length.   squared: ReLU squared for GELU.
    zero:    what each part adds to the stream begins at zero (Zhang et al., Fixup, 2019, arXiv 1901.09321).

    Raises ValueError where heads do not divide the width (with `rotary`, into even parts), and for a size below 1.
    """

    def __init__(
        self,
        size: int,
        *,
        block: int = 64,
        width: int = 128,
        heads: int = 4,
        layers: int = 4,
        dropout: float = 0.0,
        rotary: bool = False,
        qk_norm: bool = False,
        squared: bool = False,
        zero: bool = False,
    ):
        super().__init__()
        self.settings = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        for name in ("size", "block", "width", "heads", "layers"):
            if self.settings[name] < 1:
                raise ValueError(f"{name} must be 1 or more, and it is {self.settings[name]}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a share from 0 up to, but not, 1; this one is {dropout}")
        if width % (heads * (2 if rotary else 1)):
            even = ", of even size for rotary positions" if rotary else ""
            raise ValueError(f"a width of {width} cannot be divided among {heads} heads{even}")
        self.size, self.block, self.width, self.heads, self.layers = size, block, width, heads, layers
        self.tokens = nn.Embedding(size, width)
        self.places = None if rotary else nn.Embedding(block, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(width, heads, dropout, rotary, qk_norm, squared) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self._initialise(zero)

    def _initialise(self, zero: bool) -> None:
        """GPT-2's start: spread 0.02, biases 0; what is added to the stream 2 * layers times is smaller, so that the sum is not larger."""
        ends = {id(last) for block in self.blocks for last in (block.attention.out, block.feed_forward[2])}
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                share = (0.0 if zero else (2 * self.layers) ** -0.5) if id(module) in ends else 1.0
                nn.init.normal_(module.weight, std=0.02 * share)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def cache(self) -> list[Past]:
        """An empty key-value cache, for `forward`."""
        return [Past() for _ in self.blocks]

    def embed(self, tokens: Tensor, start: int = 0) -> Tensor:
        """The stream before the first block, (B, T, C). Raises ValueError where the places do not fit in the block."""
        end = start + tokens.shape[1]
        if not start < end <= self.block:
            raise ValueError(
                f"this network reads 1 to {self.block} tokens, and was given {end - start} after {start}"
            )
        x = self.tokens(tokens)
        if self.places is not None:
            x = x + self.places.weight[start:end]
        return self.dropout(x)

    def forward(self, tokens: Tensor, cache: list[Past] | None = None) -> Tensor:
        """Logits at every place of `tokens`. With a cache they follow what it holds, and are added to it."""
        x = self.embed(tokens, 0 if cache is None else len(cache[0]))
        for place, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache[place])
        return self.output(x)

    def output(self, x: Tensor) -> Tensor:
        """Logits (..., size) of a stream (..., C). The matrix is that of the embedding (Press and Wolf, 2016, arXiv 1608.05859)."""
        return F.linear(self.norm(x), self.tokens.weight)


# The loss.


def token_loss(logits: Tensor, Y: Tensor) -> Tensor:
    """Mean cross-entropy in nats per token: logits (B, T, size), Y (B, T) int64; a target of -100 does not count."""
    return F.cross_entropy(logits.flatten(0, -2), Y.flatten())


def text_loss(model: GPT, numbers: Tensor, rows: int = 64) -> float:
    """Nats per token of a whole text (N,), read block by block, `rows` of them at a time: every token but the first counts once.

    The first places of each block have little to go by, as in training. Logits of half precision are widened first.
    Raises ValueError for fewer than 2 tokens.
    """
    if len(numbers) < 2:
        raise ValueError(f"a loss needs a token and one before it; there are {len(numbers)}")
    rest = (len(numbers) - 1) % model.block
    pieces = [blocks(numbers[-rest - 1 :], rest)] if rest else []
    if len(numbers) > model.block:
        X, Y = blocks(numbers, model.block)
        pieces += zip(X.split(rows), Y.split(rows), strict=True)
    with evaluating(model):
        total = sum(token_loss(widened(model(x)), y).double().item() * y.numel() for x, y in pieces)
    return total / (len(numbers) - 1)


# Generation.


def generate(
    model: GPT,
    tokens: list[int],
    count: int,
    generator: torch.Generator,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    stop: int | None = None,
    cached: bool = True,
) -> list[int]:
    """The `count` tokens that follow `tokens`, fewer where `stop` is drawn (it is the last then), each drawn by `choose`.

    cached: keep the keys and values of what was read, so that a new token costs one place and not all. As long as prompt and answer
            fit in the block nothing but time depends on it. Past it the window slides, and every place in it changes: without the
            cache the newest block is read anew for each token; with it the newest half block is, whenever the cache is full.
    Raises ValueError for an empty prompt, a negative count, and as `choose` does.
    """
    if not tokens or count < 0:
        raise ValueError(
            f"generating needs a prompt and a count of 0 or more: {len(tokens)} tokens, count {count}"
        )
    tokens, start, device = list(tokens), len(tokens), model.tokens.weight.device
    unread, cache = tokens[-model.block :], model.cache()
    with evaluating(model):
        while len(tokens) - start < count:
            if cached and len(cache[0]) + len(unread) > model.block:
                unread, cache = tokens[-max(1, model.block // 2) :], model.cache()
            logits = model(torch.tensor([unread], device=device), cache if cached else None)[0, -1]
            tokens.append(choose(logits, generator, temperature, top_k))
            if tokens[-1] == stop:
                break
            unread = tokens[-1:] if cached else tokens[-model.block :]
    return tokens[start:]


# A look inside.


def attention_weights(model: GPT, tokens: Tensor) -> Tensor:
    """Where every head looks while tokens (T,) are read: (layers, heads, T, T); row t is what place t sees, and sums to 1."""
    with evaluating(model):
        x, seen = model.embed(tokens[None]), []
        for block in model.blocks:
            seen.append(block.attention.weights(block.norm1(x))[0])
            x = block(x)
    return torch.stack(seen)


def logit_lens(model: GPT, tokens: Tensor) -> Tensor:
    """What the network would answer if it stopped early: logits (layers + 1, T, size) from the stream before, between and after the
    blocks. The last are those of the network. nostalgebraist, interpreting GPT: the logit lens, 2020."""
    with evaluating(model):
        streams = [model.embed(tokens[None])]
        for block in model.blocks:
            streams.append(block(streams[-1]))
        return torch.cat([model.output(x) for x in streams])
