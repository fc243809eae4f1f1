"""The training loop of every recipe.

Everything random (initial weights, the order of each epoch, the noise of each step) is determined by the seed and the
step alone. A checkpoint therefore needs no state of a generator, and an interrupted training that is resumed gives the
same result as one that was never interrupted.
"""

from __future__ import annotations

import atexit
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from convarith.errors import ConvarithError
from convarith_gallery.autoencoders.models.build import Model, build
from convarith_gallery.autoencoders.models.restorers import Restorer
from convarith_gallery.autoencoders.recipe import Settings
from convarith_gallery.autoencoders.seeds import seed_from
from convarith_gallery.autoencoders.training import checkpoints
from convarith_gallery.autoencoders.training.checkpoints import Checkpoint
from convarith_gallery.autoencoders.training.devices import precision_of, synchronise
from convarith_gallery.autoencoders.training.losses import PARTS, Objective, mean_squared_error


class Diverged(ConvarithError):
    """The loss or a weight is not finite; the message says when it happened and where the last good checkpoint is."""


class Interrupted(ConvarithError):
    """The user stopped the training; a checkpoint was written."""


class Progress(NamedTuple):
    """How far a training has got; `epoch_end` has the numbers of an epoch after its last step, else None."""

    step: int
    steps: int
    epoch: int
    epochs: int
    epoch_end: dict[str, float] | None = None


Watch = Callable[[Progress], None]


class TrainingResult(NamedTuple):
    """A trained model, and a record of its training."""

    model: Model
    history: list[dict[str, float]]
    seconds: float
    images_per_second: float


def learning_rate(settings: Settings, step: int, steps: int) -> float:
    """The learning rate of a step: a linear warm-up, then constant or half a cosine down to 0.

    >>> settings = Settings("Conv2d(1, 8, 3)", learning_rate=0.1, warmup=0.5)
    >>> [round(learning_rate(settings, step, 8), 3) for step in range(8)]
    [0.025, 0.05, 0.075, 0.1, 0.1, 0.085, 0.05, 0.015]
    """
    warm = math.ceil(settings.warmup * steps)
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def train(
    settings: Settings,
    images: Tensor,
    folder: Path,
    device: torch.device,
    *,
    resume: bool = False,
    watch: Watch = lambda progress: None,
    each_epoch: Callable[[Model, int], None] = lambda model, epoch: None,
    checkpoint_seconds: float = 30,
    start: Mapping[str, Tensor] | None = None,
) -> TrainingResult:
    """Train a model on stored images (N, *shape), uint8 or float, and write checkpoints into the folder.

    The first images, the share `validation`, are held out; their error is recorded after every epoch.

    Args:
        resume: continue from the latest checkpoint in the folder.
        watch: called after every step.
        each_epoch: called after every epoch with the model in evaluation mode.
        checkpoint_seconds: the time between checkpoints; there is also one at the end of every epoch.
        start: initial weights by name, in place of random ones.

    Raises Diverged, Interrupted, and ConvarithError for unsuitable settings and if the folder cannot be written to.
    """
    trainer = _Trainer(settings, images, folder, device)
    trainer.model.load_state_dict(start or {}, strict=False)
    if resume:
        trainer.resume()
    with _stop_requests() as stop:
        clock = time.perf_counter()
        while not trainer.done:
            trainer.step()
            leaving = bool(stop)
            ended = trainer.at == 0
            if ended or leaving or time.perf_counter() - clock >= checkpoint_seconds:
                synchronise(device)
                trainer.state["seconds"] += time.perf_counter() - clock
                if ended:
                    trainer.end_epoch()
                    if trainer.rank == 0:
                        each_epoch(trainer.model.eval(), trainer.epoch - 1)
                trainer.checkpoint()
                clock = time.perf_counter()
            watch(trainer.progress(ended))
            if leaving and not trainer.done:
                raise Interrupted(f"stopped at step {trainer.state['step']} of {trainer.steps}")
    state = trainer.state
    rate = state["images"] / state["seconds"] if state["seconds"] else 0.0
    return TrainingResult(trainer.model.eval(), state["history"], state["seconds"], rate)


class _Trainer:
    """The state of a training: the model, the optimiser, and the numbers that a checkpoint stores with them."""

    def __init__(self, settings: Settings, images: Tensor, folder: Path, device: torch.device) -> None:
        self.rank, self.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        self.settings, self.folder, self.device = settings, folder, device
        held_out = int(settings.validation * len(images))
        self.validation, self.images = images[:held_out].to(device), images[held_out:].to(device)
        self.batch = min(settings.batch, len(self.images))
        if not self.batch or self.batch % self.world:
            raise ConvarithError(
                f"a batch of {self.batch} cannot be split evenly among {self.world} processes: change it with "
                "--set batch=N"
            )
        # Incomplete batches are dropped: one shape, and equal shares for every process.
        self.per_epoch = len(self.images) // self.batch
        self.steps = settings.epochs * self.per_epoch
        self.model = build(settings, tuple(images.shape[1:])).to(device)
        if images.ndim == 4:
            convert_conv2d_weight_memory_format(self.model, torch.channels_last)
        self.weights = dict(self.model.named_parameters())
        self.optimiser = torch.optim.Adam(
            self.weights.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay,
            fused=device.type in ("cpu", "cuda"),
        )  # fmt: skip
        self.objective = _on_many(Objective(self.model, settings), device, self.world, settings.compile)
        self.dtype = precision_of(settings.precision, device)
        self.totals = torch.zeros(len(PARTS), device=device)
        self.order: Tensor | None = None
        self.state: dict[str, Any] = {
            "settings": asdict(settings), "step": 0, "seconds": 0.0, "images": 0, "history": [],
        }  # fmt: skip

    @property
    def epoch(self) -> int:
        """The epoch of the next step, from 0."""
        return int(self.state["step"]) // self.per_epoch

    @property
    def at(self) -> int:
        """The position of the next step in its epoch, from 0."""
        return int(self.state["step"]) % self.per_epoch

    @property
    def done(self) -> bool:
        """Whether no step is left."""
        return int(self.state["step"]) >= self.steps

    def progress(self, ended: bool) -> Progress:
        """The progress after a step, which `ended` an epoch or not."""
        epoch = self.epoch - ended
        return Progress(
            self.state["step"], self.steps, epoch, self.settings.epochs, self.state["history"][-1] if ended else None
        )

    def step(self) -> None:
        """Train on one batch. Nothing here waits for the device."""
        settings, step = self.settings, self.state["step"]
        if self.order is None or self.at == 0:
            generator = torch.Generator().manual_seed(seed_from(settings.seed, "order", self.epoch))
            self.order = torch.randperm(len(self.images), generator=generator).to(self.device)
            self.model.train()
        start = self.at * self.batch
        batch = self.images[self.order[start : start + self.batch][self.rank :: self.world]]
        torch.manual_seed(seed_from(settings.seed, "noise", step, self.rank))
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(settings, step, self.steps)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            parts = self.objective(batch)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(parts[0])
        self.optimiser.step()
        self.totals += parts.detach()
        self.state["step"] += 1
        self.state["images"] += self.batch

    def end_epoch(self) -> None:
        """Append the means over the epoch and the validation error to the history."""
        numbers = dict(zip(PARTS, (self.totals / self.per_epoch).tolist(), strict=True))
        if len(self.validation):
            numbers["validation_mse"] = mean_squared_error(self.model.eval(), self.validation)
        self.state["history"].append(numbers)
        self.totals.zero_()

    def checkpoint(self) -> None:
        """Write a checkpoint. Raises Diverged instead if a number in it is not finite."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, weight in self.weights.items():
            tensors |= {f"optimiser.{name}.{key}": value for key, value in self.optimiser.state[weight].items()}
        tensors["totals"] = self.totals
        numbers = self.state["history"][-1].values() if self.at == 0 else ()
        whole = torch.stack([tensor.float().sum() for tensor in tensors.values()]).isfinite().all()
        if not whole or not all(map(math.isfinite, numbers)):
            good = checkpoints.read(self.folder)
            where = (
                f"the checkpoint of step {good.state['step']} in {self.folder} is good"
                if good
                else "there is no checkpoint"
            )
            raise Diverged(
                f"the loss or a weight is not finite at step {self.state['step']}: {where}; "
                f"try a smaller learning rate, such as --set learning_rate={self.settings.learning_rate / 3:.1g}"
            )
        if self.rank == 0:
            checkpoints.write(self.folder, Checkpoint(tensors, self.state))

    def resume(self) -> None:
        """Continue from the latest checkpoint, if there is one. Raises ConvarithError if its settings differ."""
        saved = checkpoints.read(self.folder)
        if saved is None:
            return
        before, now = asdict(Settings(**saved.state["settings"])), asdict(self.settings)
        other = [f"{name} was {before[name]!r}, now {now[name]!r}" for name in now if before[name] != now[name]]
        if other:
            raise ConvarithError(
                f"{self.folder} was trained with other settings ({'; '.join(other)}): choose another folder with --out"
            )
        tensors, self.state = saved.tensors, saved.state
        self.model.load_state_dict(_part(tensors, "model."))
        states = {}
        for number, (name, weight) in enumerate(self.weights.items()):
            moments = _part(tensors, f"optimiser.{name}.")
            if not moments:  # a part of an MDSR whose scale has not been drawn yet
                continue
            # In the memory format of the weight, because the fused step walks through both in the same way.
            placed = {key: torch.empty_like(weight).copy_(moments[key]) for key in ("exp_avg", "exp_avg_sq")}
            states[number] = {"step": moments["step"], **placed}
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": states, "param_groups": groups})
        self.totals = tensors["totals"].to(self.device)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _on_many(objective: Objective, device: torch.device, world: int, compiled: bool) -> Callable[[Tensor], Tensor]:
    """The objective as it is called: distributed over the processes, and compiled if requested."""
    engine: nn.Module = objective
    if world > 1:
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
            atexit.register(torch.distributed.destroy_process_group)
        ids = [device.index] if device.type == "cuda" else None
        # Each process of an MDSR draws its own scale and so uses layers that the other processes leave out.
        some = isinstance(objective.model, Restorer) and len(objective.model.scales) > 1
        engine = nn.parallel.DistributedDataParallel(engine, device_ids=ids, find_unused_parameters=some)
    # CUDA graphs avoid the cost of kernel launches, which dominates for such small layers.
    return torch.compile(engine, mode="reduce-overhead" if device.type == "cuda" else None) if compiled else engine


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """A list that Ctrl-C and SIGTERM append to, so that no step is cut in two; a second Ctrl-C stops at once."""
    requests: list[int] = []
    if current_thread() is not main_thread():
        yield requests
        return

    def note(number: int, frame: FrameType | None) -> None:
        if requests:
            raise KeyboardInterrupt
        requests.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
