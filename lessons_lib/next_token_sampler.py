"""What the slider of lesson 8 on temperature and top-k computes: one next character and the text that follows, on a fixed draw."""

import copy
from typing import Any, NamedTuple

import numpy as np
import torch

from lessons_lib.training import evaluating
from lessons_lib.transformer import GPT, generate

__all__ = ["COUNT", "Numbers", "Sampler"]

COUNT = 64  # characters of text: one line of the picture


class Numbers(NamedTuple):
    """What a setting of the slider comes to; V characters, in the order of the vocabulary."""

    prompt: str
    characters: list[str]  # V
    setting: str
    plain: np.ndarray  # (V,) probabilities at temperature 1, all characters in play
    uncut: np.ndarray  # (V,) at this temperature, before top-k
    cut: np.ndarray  # (V,) after it: what is drawn from
    dart: float | None  # where on the running sum of `cut` it strikes; None at temperature 0: none is thrown
    drawn: int  # the number of the character that comes next
    text: str  # what is said from there on
    plain_text: str  # the same with the same darts at temperature 1, all characters in play

    @property
    def openness(self) -> float:
        """How many equally likely characters would leave the choice as open: the exponential of the entropy in nats."""
        some = self.cut[self.cut > 0]
        return float(np.exp(-(some * np.log(some)).sum()))

    @property
    def differs(self) -> int | None:
        """The place in the text, from 0, of the first character that is not that of the plain text; None where there is none."""
        pairs = enumerate(zip(self.text, self.plain_text, strict=False))
        return next((place for place, (ours, plain) in pairs if ours != plain), None)


class Sampler:
    """A model after a prompt, with one row of darts in hand.

    model: a lessons_lib.transformer.GPT. vocabulary: encodes the prompt, decodes what is drawn. seed: of the generator that throws
    the darts, from the first again for every text. count: how many characters a text has. It keeps a copy of the model, and every
    text it has said: what has been looked at once is there at once. Raises ValueError for an empty prompt and
    for an unknown character in it, as `generate` and the vocabulary do.
    """

    def __init__(self, model: GPT, vocabulary: Any, prompt: str, seed: int, count: int = COUNT):
        self._model, self._vocabulary, self._count, self._seed = copy.deepcopy(model), vocabulary, count, seed
        self._said = {}
        self._prompt, self._tokens = prompt, vocabulary.encode(prompt)
        self._characters = [vocabulary.decode([number]) for number in range(vocabulary.size)]
        self._plain_text = vocabulary.decode(self._generate(1.0, None))
        with evaluating(model):
            device = model.tokens.weight.device
            logits = model(torch.tensor([self._tokens[-model.block :]], device=device))[0, -1]
        self._logits = logits.cpu().double().numpy()

    def _darts(self) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed)

    def _generate(self, temperature: float, top_k: int | None) -> list[int]:
        settings = {"temperature": temperature, "top_k": top_k}
        if (temperature, top_k) not in self._said:
            said = generate(self._model, self._tokens, self._count, self._darts(), **settings)
            self._said[temperature, top_k] = said
        return self._said[temperature, top_k]

    def compute(self, values: dict[str, Any]) -> Numbers:
        """The slider's values as numbers: the temperature, and how many of the likeliest are kept, a number or "all"."""
        temperature, kept = values["temperature"], values["top-k"]
        top_k = None if kept == "all" else kept
        size = len(self._logits)
        edge = np.sort(self._logits)[-min(top_k or size, size)]
        uncut = _softmax(self._logits, temperature)
        cut = np.where(self._logits >= edge, uncut, 0)
        tokens = self._generate(temperature, top_k)
        dart = torch.rand((), generator=self._darts(), dtype=torch.float64).item()
        return Numbers(
            self._prompt,
            self._characters,
            f"temperature {temperature:g}, {'all' if kept == 'all' else f'top {kept}'}",
            _softmax(self._logits, 1.0),
            uncut,
            cut / cut.sum(),
            dart if temperature else None,
            tokens[0],
            self._vocabulary.decode(tokens),
            self._plain_text,
        )


def _softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    if temperature == 0:
        return np.eye(len(logits))[logits.argmax()]
    powers = np.exp((logits - logits.max()) / temperature)
    return powers / powers.sum()
