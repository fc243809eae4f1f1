"""Trainings that are small enough for a test, here or in a process of their own that a test can kill."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convarith_gallery.autoencoders.training.loop import TrainingResult

TINY = {
    "encoder": "Conv2d(1, 4, 4, stride=4); ReLU(); Dropout({dropout}); Conv2d(4, {latent}, 7)",
    "latent": 3, "dropout": 0.2, "images": 320, "epochs": 3, "batch": 32, "precision": "fp32", "variational": True,
}  # fmt: skip
"""With dropout and a variational code: every kind of randomness that a recipe has."""

RECIPE = """
about = "A tiny one."
lecture = "none"
evaluations = {evaluations}

[settings]
dataset = "digits"
encoder = "{encoder}"
latent = 4
images = 512
epochs = 2
{more}
"""


def write_recipe(folder: Path, name: str, evaluations: list[str], encoder: str, more: str = "") -> str:
    """Write a recipe file and return its path."""
    path = folder / f"{name}.toml"
    path.write_text(RECIPE.format(evaluations=evaluations, encoder=encoder, more=more), encoding="utf-8")
    return str(path)


def train_tiny(folder: Path, *, resume: bool = False, seconds: float = 0, **changes: Any) -> TrainingResult:
    """A training that writes a checkpoint after every step."""
    import torch
    from convarith_gallery.autoencoders.datasets.digits import digits
    from convarith_gallery.autoencoders.recipe import Settings, changed
    from convarith_gallery.autoencoders.training.loop import train

    torch.set_num_threads(1)
    watch = changes.pop("watch", lambda progress: None)
    settings = changed(Settings("Identity()"), TINY | changes)
    images = digits().train[: settings.images]
    device = torch.device("cpu")
    return train(settings, images, folder, device, resume=resume, checkpoint_seconds=seconds, watch=watch)


if __name__ == "__main__":
    train_tiny(Path(sys.argv[1]), resume=True)
    print("done")
