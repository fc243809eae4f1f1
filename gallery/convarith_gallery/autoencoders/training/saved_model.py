"""Trained models as files: the weights, and in the file's metadata the settings that build the model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from convarith_gallery.autoencoders.models.build import Model, build
from convarith_gallery.autoencoders.recipe import Settings
from convarith_gallery.autoencoders.training import checkpoints
from convarith_gallery.autoencoders.training.checkpoints import Checkpoint

MODEL = "model.safetensors"


def save_model(folder: Path, model: Model, settings: Settings) -> None:
    """Write a trained model into a folder. Raises ConvarithError if it cannot be written."""
    state = {"settings": asdict(settings), "shape": list(model.input_shape)}
    checkpoints.write_file(folder / MODEL, Checkpoint(dict(model.state_dict()), state))


def load_model(folder: Path, device: torch.device | None = None) -> Model:
    """The trained model in a folder, in evaluation mode. Raises ConvarithError if there is none."""
    saved = checkpoints.read_file(folder / MODEL)
    model = build(Settings(**saved.state["settings"]), tuple(saved.state["shape"]))
    model.load_state_dict(saved.tensors)
    return model.to(device or "cpu").eval()
