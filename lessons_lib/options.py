"""What `python -m lessons_lib.train` can be told. The command itself is lessons_lib.train."""

import argparse
import math
from collections.abc import Callable

__all__ = ["DECIDES", "parser"]

DECIDES = ["tokens", "vocabulary", "layers", "heads", "width", "block", "dropout"]
DECIDES += [
    "rotary",
    "qk_norm",
    "squared",
    "zero",
    "optimizer",
    "rate",
    "decay",
    "steps",
    "batch",
    "seed",
    "bf16",
]
"""The options by which a run comes out as it does: one that is resumed must have them as they were."""

PARTS = ["rotary", "qk_norm", "squared", "zero"]
RATES = {"adamw": 6e-3, "muon": 1e-2}
SAVE_EVERY = 200

EPILOG = """\
examples:
  python -m lessons_lib.train                                      the plays, about a minute on a laptop
  python -m lessons_lib.train --fast                               with all of lesson 8's faster parts
  python -m lessons_lib.train --text mine.txt --folder my/run      your own text, kept in a folder
  python -m lessons_lib.train --text mine.txt --folder my/run --resume      go on where it was stopped
  python -m lessons_lib.train --folder my/run --generate-only --samples 3 --temperature 0.8
  torchrun --standalone --max-restarts 3 --nproc-per-node 2 -m lessons_lib.train --folder my/run2

Ctrl-C stops after the step in hand. Under torchrun a group that lost a process starts anew and goes on from the newest whole
checkpoint of --folder by itself."""


class _Parser(argparse.ArgumentParser):
    """Fills in what depends on other options, and refuses what goes only together."""

    def parse_args(self, *arguments) -> argparse.Namespace:
        options = super().parse_args(*arguments)
        if options.fast:
            options.optimizer = options.optimizer or "muon"
            for part in PARTS:
                setattr(options, part, True)
        options.optimizer = options.optimizer or "adamw"
        options.rate = options.rate or RATES[options.optimizer]
        if options.folder is None:
            for name in ("resume", "save_every", "generate_only"):
                if getattr(options, name):
                    self.error(f"--{name.replace('_', '-')} needs a --folder")
        else:
            options.save_every = options.save_every or SAVE_EVERY
        return options


def parser() -> argparse.ArgumentParser:
    """Of the command. What cannot be is refused with one sentence and exit status 2."""
    parse = _Parser(
        prog="python -m lessons_lib.train",
        usage="%(prog)s [options]     (--help lists them)",
        description="Train the GPT of lesson 8 on a text, and let it write. Every option has a default.",
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def group(title: str) -> Callable:
        section = parse.add_argument_group(title)

        def add(name: str, help: str, kind: Callable | None = None, default=None, **more) -> None:
            if kind is None and "choices" not in more and "metavar" not in more:
                more["action"] = "store_true"
            else:
                more["type"], more["default"] = kind or str, default
                help += "" if default is None else " (%(default)s)"
            section.add_argument(f"--{name}", help=help, **more)

        return add

    add = group("the text")
    add(
        "text",
        "plays, tinyshakespeare, or the path of a text file in UTF-8",
        default="plays",
        metavar="WHICH",
    )
    add("tokens", "what a token is", default="characters", choices=["characters", "bpe"])
    add("vocabulary", "tokens that bpe may learn, the 256 bytes counted", whole(256), 512, metavar="N")

    add = group("the model")
    for name, default, what in (
        ("layers", 4, "blocks on top of each other"),
        ("heads", 4, "heads of attention in each; they must divide the width"),
        ("width", 128, "numbers in the stream at each place"),
        ("block", 64, "tokens that it sees at once"),
    ):
        add(name, what, whole(1), default, metavar="N")
    add(
        "dropout",
        "share of numbers that are dropped while it learns",
        number(0, below=1),
        0.0,
        metavar="SHARE",
    )
    add("rotary", "positions as rotations, not as a table")
    add("qk-norm", "queries and keys of one length")
    add("squared", "ReLU squared instead of GELU")
    add("zero", "what each part adds begins at zero")
    add("fast", "these four, and --optimizer muon")

    add = group("learning")
    add("optimizer", "(adamw)", choices=["adamw", "muon"])
    rates = ", ".join(f"{name}: {rate:g}" for name, rate in RATES.items())
    add(
        "rate", f"the highest rate of the one-cycle schedule ({rates})", number(0, above=True), metavar="RATE"
    )
    add("decay", "weight decay of the matrices", number(0), 0.1, metavar="DECAY")
    add("steps", "updates in all", whole(1), 800, metavar="N")
    add("batch", "blocks in an update, shared by all processes", whole(1), 16, metavar="N")
    add(
        "seed",
        "of the first weights, the blocks, dropout and the samples",
        whole(0, below=2**64),
        0,
        metavar="N",
    )
    add("evaluate-every", "steps between two looks at the whole validation part", whole(1), 200, metavar="N")

    add = group("the folder")
    add(
        "folder",
        "keep checkpoints, losses.csv and run.json here; without it nothing is written",
        metavar="PATH",
    )
    add("save-every", f"steps between two checkpoints ({SAVE_EVERY})", whole(1), metavar="N")
    add("resume", "go on from the newest whole checkpoint in --folder, exactly as if nothing had happened")

    add = group("the machine")
    add("device", "(cuda where there is one, else cpu)", choices=["cpu", "cuda", "mps"])
    add(
        "threads",
        "of each process, unless LESSONS_THREADS is set; 2 can help a wide model on a quiet machine",
        whole(1),
        1,
        metavar="N",
    )
    add("bf16", "multiply in bfloat16: faster on newer GPUs")
    add("compile", "let torch compile the model first: a minute of waiting, then faster")

    add = group("samples")
    add("samples", "how many to write at the end; 0 for none", whole(0), 1, metavar="N")
    add("length", "tokens in each", whole(1), 400, metavar="N")
    add("prompt", "what they begin with (a line break)", metavar="TEXT")
    add(
        "temperature",
        "below 1 safer, above 1 wilder; 0 takes the likeliest token each time",
        number(0),
        1.0,
        metavar="T",
    )
    add("top-k", "draw among the K likeliest tokens only (all)", whole(1), metavar="K")
    add("generate-only", "do not train: load the model of --folder and write samples")
    return parse


def whole(least: int, below: float = math.inf) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value < below:
            limit = "" if below == math.inf else f" and below {below}"
            raise argparse.ArgumentTypeError(
                f"it must be a whole number, {least} or more{limit}, and it is {text!r}"
            )
        return value

    return read


def number(least: float, *, above: bool = False, below: float = math.inf) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value < below or (above and value == least):
            wanted = f"above {least:g}" if above else f"{least:g} or more"
            limit = "finite" if below == math.inf else f"below {below:g}"
            raise argparse.ArgumentTypeError(f"it must be {wanted}, and {limit}; it is {text!r}")
        return value

    return read
