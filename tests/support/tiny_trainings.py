"""Trainings small enough for a test, by themselves or as a process of their own that a test can kill."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

TINY = {
    "encoder": "Conv2d(1, 4, 4, stride=4); ReLU(); Dropout({dropout}); Conv2d(4, {latent}, 7)",
    "latent": 3, "dropout": 0.2, "images": 320, "epochs": 3, "batch": 32, "precision": "fp32", "variational": True,
}  # fmt: skip
"""Dropout and a drawn code: every kind of randomness that a recipe has."""

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
    """A recipe file of one's own; its path."""
    path = folder / f"{name}.toml"
    path.write_text(RECIPE.format(evaluations=evaluations, encoder=encoder, more=more), encoding="utf-8")
    return str(path)


def train_tiny(folder: Path, *, resume: bool = False, seconds: float = 0, **changes: Any) -> Any:
    """A training that leaves a checkpoint at every step."""
    import torch
    from convarith_gallery.autoencoders.datasets.load import digits
    from convarith_gallery.autoencoders.recipe import Settings
    from convarith_gallery.autoencoders.training.loop import train

    torch.set_num_threads(1)
    watch = changes.pop("watch", lambda progress: None)
    settings = Settings(**(TINY | changes))
    images = digits().train[: settings.images]
    device = torch.device("cpu")
    return train(settings, images, folder, device, resume=resume, checkpoint_seconds=seconds, watch=watch)


if __name__ == "__main__":
    train_tiny(Path(sys.argv[1]), resume=True)
    print("done")
