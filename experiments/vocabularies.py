"""How large should a vocabulary be? The same network, the same number of steps, other tokens; writes vocabularies.csv.

`make experiments`. Loss per token cannot be compared across vocabularies, loss per character can. README.md explains the columns.
"""

import io
import sys

import table
import torch
from texts import Recipe, Text, cut, in_characters, texts, trained

from lessons_lib.tokenizers import BPE
from lessons_lib.training import setup
from lessons_lib.transformer import text_loss

CSV = table.HERE / "vocabularies.csv"
COLUMNS = (
    "tokenizer",
    "size",
    "seed",
    "tokens",
    "per_token",
    "parameters",
    "val_token",
    "train_character",
    "val_character",
    "seconds",
    *table.MACHINE,
)
RECIPE = Recipe(width=64, steps=700)
KINDS = [
    ("characters", None),
    *(("BPE", size) for size in (288, 320, 384, 512, 1024, 2048)),
    ("sentencepiece", 512),
]


def sentencepiece(text: str, size: int):
    """A tokenizer of the library of that name, its own BPE, trained on the same text; lines and spaces are kept as they are."""
    import sentencepiece as spm

    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(text.splitlines(keepends=True)),
        model_writer=model,
        vocab_size=size,
        model_type="bpe",
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        user_defined_symbols=["\n"],
        num_threads=1,
        minloglevel=2,
    )
    return spm.SentencePieceProcessor(model_proto=model.getvalue())


def in_tokens(text: str, tokenizer: str, size: int) -> Text:
    """The plays in other tokens. The tokenizer learns from the part that the network learns from."""
    if tokenizer == "characters":
        return in_characters(text)
    train, val = cut(text)
    learn = BPE.train if tokenizer == "BPE" else sentencepiece
    encode = learn(train, size).encode
    return Text(torch.tensor(encode(train)), torch.tensor(encode(val)), size, len(val))


def main() -> None:
    setup()
    text = texts()["bundled"]
    kinds = [(name, size or in_characters(text).size) for name, size in KINDS]
    wanted = [{"tokenizer": name, "size": size, "seed": 1} for name, size in kinds]

    def measure(tokenizer, size, seed):
        tokens = in_tokens(text, tokenizer, size)
        train_characters = len(cut(text)[0])
        model, seconds = trained(RECIPE, tokens, seed)
        val, train = text_loss(model, tokens.val), text_loss(model, tokens.train)
        return {
            "tokens": len(tokens.train),
            "per_token": round(train_characters / len(tokens.train), 4),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "val_token": round(val, 4),
            "train_character": round(train * (len(tokens.train) - 1) / train_characters, 4),
            "val_character": round(val * (len(tokens.val) - 1) / tokens.val_characters, 4),
            "seconds": round(seconds, 1),
        }

    table.fill(CSV, COLUMNS, wanted, measure, fresh="--fresh" in sys.argv)


if __name__ == "__main__":
    main()
