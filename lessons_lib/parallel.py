"""Several processes that train one model, started by torchrun. One process alone is a group too, and then nothing here does anything.

Each takes its rows of a batch, torch's DistributedDataParallel averages the gradients, and so all make the same step: the run is that
of one process with the whole batch, but for the order in which a few numbers are added. Only the first process speaks and writes.
Li et al., PyTorch Distributed, 2020 (arXiv 2006.15704). Built in lesson 8.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["Group", "end", "launch", "restarts"]


def restarts() -> int:
    """How often torchrun has started this group of processes anew, because one of them had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def launch() -> str | None:
    """A name of this call of torchrun, the same when it has started the processes anew; None without torchrun. On one machine."""
    name = os.environ.get("TORCHELASTIC_RUN_ID")  # which is "none" for all who have not named theirs
    return None if name is None else f"{name} {os.getppid()}"


def end(status: int) -> NoReturn:
    """End this process with this exit status, once `leave` is behind it; one of several without Python's own clean-up.

    A thread of gloo's may hold the tensor of the last exchange a little longer. If it lets go while Python takes itself apart, the
    process is aborted, and torchrun takes that for a death and starts all of them anew: seen in one run of twelve (torch 2.13).
    """
    if Group().size == 1:
        sys.exit(status)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class Group:
    """All processes of this run, as torchrun has numbered them in the environment: `rank` of `size`; `first` is true for number 0.

    Made without touching the network; `join` finds the others.
    """

    def __init__(self):
        self.rank, self.size = (
            int(os.environ.get(name, least)) for name, least in (("RANK", 0), ("WORLD_SIZE", 1))
        )
        self.local_rank = int(os.environ.get("LOCAL_RANK", 0))  # among the `local_size` of this machine
        self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        self.first = self.rank == 0
        self.device = torch.device("cpu")

    def join(self, device: torch.device) -> None:
        """Wait until all are here. From now on the others are silent on stdout: what every process said would be said `size` times.

        Gloo carries the numbers between processors, NCCL between CUDA's cards. Raises ValueError for a device that has neither.
        """
        self.device = device
        if self.size == 1:
            return
        if device.type not in ("cpu", "cuda"):
            raise ValueError(
                f"several processes need --device cpu or cuda: there is no way between two on {device.type}"
            )
        if not self.first:
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  until the process ends
            os.environ["TQDM_DISABLE"] = "1"
        store, rank, size = next(iter(dist.rendezvous("env://")))
        if self.local_size == size:
            # Torchrun's store outlives the processes. Without a place of its own, a group that was started again could find there
            # the addresses of the dead one, and wait for them.
            store = dist.PrefixStore(f"start {restarts()}", store)
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=size
        )

    def leave(self) -> None:
        """At the end of a run that went well. After an error the process had better die, so that torchrun sees it."""
        if self.size > 1:
            dist.destroy_process_group()

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model with averaged gradients. Its parameters are the model's own; keep this object out of what is saved."""
        if self.size == 1:
            return model
        cards = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=cards)

    def mine(self, rows: Tensor) -> Tensor:
        """This process's rows of a batch (N, ...), N a multiple of `size`: (N / size, ...)."""
        return rows[self.rank :: self.size]

    def mean(self, loss: Tensor) -> Tensor:
        """A single number as the mean over all processes. Its gradient stays that of the own share, since DDP averages gradients."""
        if self.size == 1:
            return loss
        total = loss.detach().clone()
        dist.all_reduce(total)
        return loss + (total / self.size - loss.detach())

    @contextmanager
    def own_numbers(self) -> Iterator[None]:
        """Random numbers of this process's own, for dropout on its own rows.

        They follow from one draw of the numbers that all have alike, which are as far on afterwards in each of them: so what a
        checkpoint keeps of the first process is enough for all.
        """
        if self.size == 1:
            yield
            return
        common = int(torch.randint(2**62, ()))
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(common + self.rank)
            yield

    def any(self, flag: bool) -> bool:
        """Whether it is true in any of them. Each must ask, and as often as the others."""
        return self._largest(float(flag)) > 0

    def alike(self, number: int) -> bool:
        """Whether all have the same whole number here. Each must ask."""
        return self._largest(number) == -self._largest(-number)

    def _largest(self, number: float) -> float:
        if self.size == 1:
            return number
        largest = torch.tensor(number, dtype=torch.float64, device=self.device)
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        return largest.item()
