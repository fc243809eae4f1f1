"""The training loop of every recipe.

What is drawn at random (initial weights, each epoch's order, each step's noise) follows from the seed and the step
alone. So a checkpoint needs no generator's state, and a run that goes on from one is the run that never stopped.
"""

from __future__ import annotations

import atexit
import hashlib
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

from convarith.errors import ConvarithError
from convarith_gallery.autoencoders.datasets.load import as_float
from convarith_gallery.autoencoders.models.autoencoder import Autoencoder
from convarith_gallery.autoencoders.models.restorers import Restorer
from convarith_gallery.autoencoders.recipe import Settings
from convarith_gallery.autoencoders.training import checkpoints
from convarith_gallery.autoencoders.training.checkpoints import Checkpoint
from convarith_gallery.autoencoders.training.devices import precision_of, synchronise
from convarith_gallery.autoencoders.training.losses import PARTS, Objective


class Diverged(ConvarithError):
    """The loss or a weight is no number any more; the message says when, and where the last good checkpoint is."""


class Interrupted(ConvarithError):
    """The user stopped the run; a checkpoint was left."""


class Progress(NamedTuple):
    """How far a training is; `epoch_end` holds the epoch's numbers behind its last step."""

    step: int
    steps: int
    epoch: int
    epochs: int
    epoch_end: dict[str, float] | None = None


Watch = Callable[[Progress], None]


class Trained(NamedTuple):
    """A trained Autoencoder or Restorer, and what was recorded: epochs, seconds, images a second."""

    model: Any
    history: list[dict[str, float]]
    seconds: float
    images_per_second: float


def number_from(*words: object) -> int:
    """A seed of 31 bits from words, the same in every process.

    >>> number_from(0, "order", 1) == number_from(0, "order", 1) != number_from(0, "order", 2)
    True
    """
    digest = hashlib.blake2b(" ".join(map(str, words)).encode(), digest_size=4).digest()
    return int.from_bytes(digest) >> 1


def build(settings: Settings, shape: tuple[int, ...]) -> Autoencoder | Restorer:
    """The model before training; its weights follow from the seed."""
    torch.manual_seed(number_from(settings.seed, "weights"))
    return Restorer(settings, shape) if settings.restores else Autoencoder(settings, shape)


def learning_rate(settings: Settings, step: int, steps: int) -> float:
    """The rate of a step: up over the warm-up, then constant or down a half cosine.

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
    each_epoch: Callable[[Any, int], None] = lambda model, epoch: None,
    checkpoint_seconds: float = 30,
    start: Mapping[str, Tensor] | None = None,
) -> Trained:
    """Train a model on stored images (N, *shape), uint8 or float; checkpoints go into the folder.

    The first part of the images is held out (`validation`); its error is recorded at the end of every epoch.

    Args:
        resume: go on from the folder's last checkpoint.
        watch: told of every step.
        each_epoch: called with the model at the end of every epoch, in evaluation mode.
        checkpoint_seconds: how much work may be lost; the end of an epoch always leaves a checkpoint.
        start: weights by name to begin with in the place of random ones.

    Raises Diverged, Interrupted, and ConvarithError for settings that do not fit and a folder that cannot be written.
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
    return Trained(trainer.model.eval(), state["history"], state["seconds"], rate)


class _Trainer:
    """A training at one of its steps: the model, the optimiser, and the state that a checkpoint holds beside them."""

    def __init__(self, settings: Settings, images: Tensor, folder: Path, device: torch.device) -> None:
        self.rank, self.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        self.settings, self.folder, self.device = settings, folder, device
        held_out = int(settings.validation * len(images))
        self.validation, self.images = images[:held_out].to(device), images[held_out:].to(device)
        self.batch = min(settings.batch, len(self.images))
        if not self.batch or self.batch % self.world:
            raise ConvarithError(
                f"a batch of {self.batch} does not split among {self.world} processes: change it with --set batch=N"
            )
        # Every batch is whole: one shape, and equal shares for every process.
        self.per_epoch = len(self.images) // self.batch
        self.steps = settings.epochs * self.per_epoch
        self.model = build(settings, tuple(images.shape[1:])).to(device)
        if images.ndim == 4:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
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
        """Which epoch the next step belongs to, from 0."""
        return int(self.state["step"]) // self.per_epoch

    @property
    def at(self) -> int:
        """Which step of its epoch the next one is, from 0."""
        return int(self.state["step"]) % self.per_epoch

    @property
    def done(self) -> bool:
        """Is no step left?"""
        return int(self.state["step"]) >= self.steps

    def progress(self, ended: bool) -> Progress:
        """How far it is, behind a step that ended an epoch or did not."""
        epoch = self.epoch - ended
        return Progress(
            self.state["step"], self.steps, epoch, self.settings.epochs, self.state["history"][-1] if ended else None
        )

    def step(self) -> None:
        """One batch. Nothing in here waits for the device."""
        settings, step = self.settings, self.state["step"]
        if self.order is None or self.at == 0:
            generator = torch.Generator().manual_seed(number_from(settings.seed, "order", self.epoch))
            self.order = torch.randperm(len(self.images), generator=generator).to(self.device)
            self.model.train()
        start = self.at * self.batch
        batch = self.images[self.order[start : start + self.batch][self.rank :: self.world]]
        torch.manual_seed(number_from(settings.seed, "noise", step, self.rank))
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(settings, step, self.steps)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            parts = self.objective(batch)
        self.optimiser.zero_grad(set_to_none=True)
        parts[0].backward()
        self.optimiser.step()
        self.totals += parts.detach()
        self.state["step"] += 1
        self.state["images"] += self.batch

    def end_epoch(self) -> None:
        """Put the epoch's means, and the error on the images held out, into the history."""
        numbers = dict(zip(PARTS, (self.totals / self.per_epoch).tolist(), strict=True))
        if len(self.validation):
            numbers["validation_mse"] = mean_squared_error(self.model.eval(), self.validation)
        self.state["history"].append(numbers)
        self.totals.zero_()

    def checkpoint(self) -> None:
        """Leave a checkpoint, unless what would be in it is no number: then Diverged."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, weight in self.weights.items():
            tensors |= {f"optimiser.{name}.{key}": value for key, value in self.optimiser.state[weight].items()}
        tensors["totals"] = self.totals
        numbers = self.state["history"][-1].values() if self.at == 0 else ()
        whole = torch.stack([tensor.float().sum() for tensor in tensors.values()]).isfinite().all()
        if not whole or not all(map(math.isfinite, numbers)):
            good = checkpoints.read(self.folder)
            where = f"the checkpoint of step {good.state['step']} in {self.folder} is good" if good else "none was left"
            raise Diverged(
                f"the loss or a weight is not a number by step {self.state['step']}: {where}; "
                f"try a smaller rate, such as --set learning_rate={self.settings.learning_rate / 3:.1g}"
            )
        if self.rank == 0:
            checkpoints.write(self.folder, Checkpoint(tensors, self.state))

    def resume(self) -> None:
        """Go on from the folder's last checkpoint, if it has one. Raises ConvarithError for one of other settings."""
        saved = checkpoints.read(self.folder)
        if saved is None:
            return
        before, now = asdict(Settings(**saved.state["settings"])), asdict(self.settings)
        other = [f"{name} was {before[name]!r}, now {now[name]!r}" for name in now if before[name] != now[name]]
        if other:
            raise ConvarithError(
                f"{self.folder} was trained with other settings ({'; '.join(other)}): give another --out"
            )
        tensors, self.state = saved.tensors, saved.state
        self.model.load_state_dict(_part(tensors, "model."))
        states = {}
        for number, (name, weight) in enumerate(self.weights.items()):
            moments = _part(tensors, f"optimiser.{name}.")
            if not moments:  # a part of an MDSR whose scale was not drawn yet
                continue
            # As the weight lies in memory: the fused step walks through both alike.
            placed = {key: torch.empty_like(weight).copy_(moments[key]) for key in ("exp_avg", "exp_avg_sq")}
            states[number] = {"step": moments["step"], **placed}
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": states, "param_groups": groups})
        self.totals = tensors["totals"].to(self.device)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@torch.no_grad()
def mean_squared_error(model: Autoencoder | Restorer, images: Tensor, size: int = 500) -> float:
    """The mean over pixels and stored images of the squared error, images scaled to 0..1."""
    parts = map(as_float, torch.split(images, size))
    return float(torch.cat([model.squared_errors(part) for part in parts]).cpu().double().mean())


def _on_many(objective: Objective, device: torch.device, world: int, compiled: bool) -> nn.Module:
    """The objective as it is called: shared among processes, compiled where that was asked for."""
    engine: nn.Module = objective
    if world > 1:
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
            atexit.register(torch.distributed.destroy_process_group)
        ids = [device.index] if device.type == "cuda" else None
        # The processes of an MDSR draw scales of their own, each with layers that the others leave out.
        some = isinstance(objective.model, Restorer) and len(objective.model.scales) > 1
        engine = nn.parallel.DistributedDataParallel(engine, device_ids=ids, find_unused_parameters=some)
    # CUDA graphs take the launches away that dominate such small layers.
    return torch.compile(engine, mode="reduce-overhead" if device.type == "cuda" else None) if compiled else engine  # type: ignore[return-value]


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """A list that Ctrl-C and SIGTERM fill, so that a step is never cut in two; a second Ctrl-C stops at once."""
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
