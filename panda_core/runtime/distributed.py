"""The processes that share one job: who computes what, and how the others get it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from typing import TypeVar

import torch
from torch import distributed

Sums = TypeVar("Sums")


@dataclass(frozen=True)
class Team:
    """This process's number and how many there are; one, unless `join` found that torchrun has started more."""

    worker: int = 0
    workers: int = 1

    @classmethod
    def here(cls) -> "Team":
        joined = distributed.is_available() and distributed.is_initialized()
        return cls(distributed.get_rank(), distributed.get_world_size()) if joined else cls()

    def share(self, sums: Sums, owner: int) -> Sums:
        """`sums` as the worker `owner` has them: a tensor, a number, a tuple or a dataclass of those; all must ask.

        Raises: ConnectionError if another worker has ended.
        """
        if is_dataclass(sums):
            return type(sums)(*self.share(tuple(vars(sums).values()), owner))
        if isinstance(sums, tuple):
            return tuple(self.share(x, owner) for x in sums)
        if not isinstance(sums, torch.Tensor):
            return type(sums)(self.share(torch.tensor(sums, dtype=torch.float64), owner).item())
        sums = sums.contiguous()  # also alone: a product's last bits depend on the order of its factors' strides
        if self.workers > 1:
            sums = sums.clone()
            try:
                distributed.broadcast(sums, owner)
            except RuntimeError as error:
                raise ConnectionError("Another worker has ended.") from error
        return sums

    def wait(self) -> None:
        """Until all are here."""
        for owner in range(self.workers):
            self.share(0, owner)


@contextmanager
def join(lost: str) -> Iterator[Team]:
    """The team of the processes that torchrun started (gloo, and NCCL where each has a GPU of its own), or of this one.

    Raises: ValueError saying `lost` in all others when one of them ends before its time.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield Team()
        return

    def stop(*_) -> None:
        raise ConnectionError("Another worker has ended.")

    before = signal.signal(signal.SIGTERM, stop)  # what torchrun sends to the others when one is gone
    own, here = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if own >= here:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if own >= here else "gloo")
        yield Team.here()
    except (ConnectionError, distributed.DistError) as error:
        before = signal.SIG_IGN  # it is ending already
        raise ValueError(lost) from error
    finally:
        signal.signal(signal.SIGTERM, before)
        if distributed.is_initialized():
            distributed.destroy_process_group()
