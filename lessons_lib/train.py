"""`python -m lessons_lib.train --help`: the GPT of lesson 8 from the shell, on one process or, under torchrun, on several.

It is the same model, loop and checkpoint as in the lessons. What is added is around them: options (lessons_lib.options), a folder
that a run goes on from (lessons_lib.run_folder), other processes (lessons_lib.parallel), samples at the end.
"""

import math
import sys
import time
from argparse import Namespace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from lessons_lib import checkpoint, run_folder
from lessons_lib.data import Vocabulary, load_text
from lessons_lib.optim import matrices_decay, muon
from lessons_lib.options import parser
from lessons_lib.parallel import Group, end, launch, restarts
from lessons_lib.run_folder import load
from lessons_lib.tokenizers import BPE
from lessons_lib.training import Diverged, Training, one_cycle, setup
from lessons_lib.transformer import GPT, generate, text_loss, token_loss

__all__ = ["OnText", "load", "main"]

TEXTS = {"plays": "bundled", "tinyshakespeare": "tinyshakespeare"}


def main(arguments: list[str] | None = None) -> int:
    """The command. Returns its exit status: 0, 1 for a run that failed, 2 for a wish that cannot be granted, 130 after Ctrl-C."""
    options, group, status = parser().parse_args(arguments), Group(), 2
    try:
        setup(options.threads)
        if options.generate_only:
            if not group.first:
                return 0
            model, tokens = load(options.folder)
            return _say(options, model.to(_device(options, group)), tokens)
        training, tokens, validation = _prepare(options, group)
        status = 1
        return _run(options, group, training, tokens, validation)
    except (ValueError, OSError, Diverged) as error:
        if status == 1 and isinstance(error, ValueError):
            raise  # all wishes were looked at by then: this one is a mistake of ours
        if group.first:
            print(error, file=sys.stderr)
        return status
    except RuntimeError as error:
        if status == 1 or "allocate" not in str(error):
            raise
        print("this run is too large for the memory that is there", file=sys.stderr)
        return status
    except KeyboardInterrupt:
        print("Stopped.")
        return 130


class OnText(nn.Module):
    """A GPT that looks its blocks up itself: starts (N,) int64, places in a text -> the mean loss of the N blocks that begin there.

    So an example is one number, and a run of any length fits in memory. Of several processes each reads its rows of the N.
    """

    def __init__(self, gpt: GPT, numbers: Tensor, group: Group, bf16: bool = False, compiled: bool = False):
        super().__init__()
        self.gpt, self.numbers, self.group, self.bf16 = gpt, numbers, group, bf16
        self.window = torch.arange(gpt.block + 1, device=numbers.device)
        # In a list, which hides it from state_dict: a checkpoint is the same whether it was wrapped, compiled, or neither.
        self.through = [group.wrap(torch.compile(gpt) if compiled else gpt)]

    def forward(self, starts: Tensor) -> Tensor:
        starts = self.group.mine(starts).to(self.numbers.device)
        rows = self.numbers[starts[:, None] + self.window]  # (N / size, block + 1)
        autocast = torch.autocast(rows.device.type, torch.bfloat16, enabled=self.bf16)
        with self.group.own_numbers(), autocast:
            logits = self.through[0](rows[:, :-1])
        return self.group.mean(token_loss(logits.float(), rows[:, 1:]))


# Before the run: whatever can be refused is refused here, in every process alike.


def _prepare(options: Namespace, group: Group) -> tuple[Training, Vocabulary | BPE, Tensor]:
    """The run, ready to begin or to go on; its tokens; and the validation part as numbers."""
    if options.batch % group.size:
        raise ValueError(f"a batch of {options.batch} cannot be shared by {group.size} processes")
    again = restarts() > 0 and options.folder is not None and run_folder.launched_by(options.folder, launch())
    resume = options.resume or again
    device = _device(options, group)
    text = load_text(TEXTS.get(options.text) or Path(options.text))
    cut = len(text) * 9 // 10  # as in the lesson: its beginning is learned from, the rest is for measuring
    if options.tokens == "bpe":
        tokens = BPE.train(text[:cut], options.vocabulary)
    else:
        tokens = Vocabulary([text], end=None)
    if options.samples:
        _prompt(options, tokens)
    train, validation = (
        torch.tensor(tokens.encode(part), device=device) for part in (text[:cut], text[cut:])
    )
    if len(train) <= options.block or len(validation) < 2:
        raise ValueError(
            f"this text is too short: its first part has {len(train)} tokens to learn from, and a block of {options.block} takes "
            f"{options.block + 1}; its last part has {len(validation)} to be measured on, and that takes 2"
        )
    torch.manual_seed(options.seed)
    gpt = GPT(
        tokens.size,
        **{name: getattr(options, name) for name in ("block", "width", "heads", "layers", "dropout")},
        **{name: getattr(options, name) for name in ("rotary", "qk_norm", "squared", "zero")},
    ).to(device)
    if options.folder is not None:
        note = run_folder.describe(options, text, gpt, tokens) | {"launch": launch()}
        run_folder.claim(options.folder, note, resume)
    group.join(device)
    training = _training(options, group, gpt, train)
    if resume:
        _resume(options.folder, group, training)
    if options.folder is not None and group.first:
        run_folder.write_run(options.folder, note)
    print(
        f"{len(text):,} characters as {len(train):,} tokens to learn from and {len(validation):,} to be measured on, {tokens.size} "
        f"different. A GPT of {sum(p.numel() for p in gpt.parameters()):,} numbers, on {device}: {training.steps:,} steps of "
        f"{options.batch} blocks of {options.block}."
    )
    return training, tokens, validation


def _training(options: Namespace, group: Group, gpt: GPT, train: Tensor) -> Training:
    model = OnText(gpt, train, group, options.bf16, options.compile)
    if options.optimizer == "muon":
        optimizer = muon(gpt, decay=options.decay)
    else:
        groups = matrices_decay(gpt, options.decay)
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=train.device.type != "mps")
    draw = torch.Generator().manual_seed(options.seed)
    starts = torch.randint(len(train) - gpt.block, (options.steps * options.batch,), generator=draw)
    return Training(
        model,
        optimizer,
        (starts, starts),
        epochs=1,
        batch=options.batch,
        rate=one_cycle(options.steps, options.rate),
        seed=options.seed,
        loss=lambda loss, _: loss,  # the model has its targets in the text, and has compared already
        folder=options.folder,
        save_every=options.save_every,
        writes=group.first,
        agree=group.any if group.size > 1 else None,
    )


def _resume(folder: str, group: Group, training: Training) -> None:
    step = training.resume() if checkpoint.steps(folder) else 0
    if not group.alike(step):
        raise ValueError(
            "the processes see different checkpoints: --folder must be one folder for all of them"
        )
    if not step and checkpoint.steps(folder):
        raise ValueError(f"no checkpoint in {folder} is whole: name another folder, or delete this one")
    print(f"Going on from step {step:,}." if step else f"No checkpoint in {folder} yet: the run begins.")


def _device(options: Namespace, group: Group) -> torch.device:
    """What was asked for; without a wish CUDA's card where there is one, and never MPS. ValueError where there is none."""
    wish = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[wish]:
        raise ValueError(f"torch finds no {wish} on this machine: leave --device out, or say cpu")
    if wish == "cuda":
        if group.local_size > torch.cuda.device_count():
            raise ValueError(
                f"each process needs a CUDA card of its own, and there are {torch.cuda.device_count()}"
            )
        torch.cuda.set_device(group.local_rank)
        return torch.device("cuda", group.local_rank)
    if wish == "mps" and group.first:
        print("On mps, which we have not tried, losses differ from those of a processor.", file=sys.stderr)
    return torch.device(wish)


# The run, and what comes out.


def _run(
    options: Namespace, group: Group, training: Training, tokens: Vocabulary | BPE, validation: Tensor
) -> int:
    gpt, history, began = training.model.gpt, training.history, time.perf_counter()

    def watch(training: Training) -> None:
        step, history = training.step, training.history
        if group.first and (step % options.evaluate_every == 0 or step == training.steps):
            history.dev.append((step, text_loss(gpt, validation, rows_at_once(gpt))))
            tqdm.write(
                f"step {step:,} of {training.steps:,}: validation {history.dev[-1][1]:.4f} nats per token"
            )
            if options.folder is not None:
                run_folder.write_losses(options.folder, history)

    training.watch = watch
    if training.step < training.steps:  # one that is finished would begin anew
        history = training.run()
    group.leave()
    if not group.first:
        return 0
    if options.folder is not None:
        run_folder.write_losses(options.folder, history)
    if training.step < training.steps:
        kept = "the same command with --resume" if options.folder else "nothing, since no --folder was named"
        print(f"What goes on from here in the shell: {kept}.")
        return 130
    loss, characters = history.dev[-1][1], len(tokens.decode(validation[1:].tolist()))
    if not math.isfinite(loss):
        raise Diverged(
            f"After the last step the validation loss is {loss}: lower the rate, which is {options.rate:g}."
        )
    print(
        f"Done in {time.perf_counter() - began:.0f} s. Over the whole validation part: {loss:.4f} nats per token, "
        f"{loss * (len(validation) - 1) / characters:.4f} per character."
    )
    return _say(options, gpt, tokens)


def rows_at_once(gpt: GPT) -> int:
    """How many blocks are measured together: 64, or as many as keep their logits below 16 million numbers."""
    return max(1, min(64, 2**24 // (gpt.block * gpt.size)))


def _say(options: Namespace, gpt: GPT, tokens: Vocabulary | BPE) -> int:
    prompt, draw = _prompt(options, tokens), torch.Generator().manual_seed(options.seed)
    wishes = {"temperature": options.temperature, "top_k": options.top_k}
    for number in range(1, options.samples + 1):
        print(f"\n--- sample {number} ---")
        print(tokens.decode(prompt + generate(gpt, prompt, options.length, draw, **wishes)))
    return 0


def _prompt(options: Namespace, tokens: Vocabulary | BPE) -> list[int]:
    """The prompt as tokens, without one a line break. ValueError for an unknown character, and for an empty prompt."""
    if options.prompt is None:
        return tokens.encode("\n") if isinstance(tokens, BPE) or "\n" in tokens.characters else [0]
    try:
        numbers = tokens.encode(options.prompt)
    except ValueError as error:
        raise ValueError(f"--prompt: {error}") from None
    if not numbers:
        raise ValueError("--prompt: it is empty, and the model needs something to go on from")
    return numbers


if __name__ == "__main__":
    # A log shows each line when it is said, and a terminal that cannot show a letter does not end the run.
    sys.stdout.reconfigure(line_buffering=True, errors="replace")
    end(main())
