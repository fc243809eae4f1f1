"""Checkpoints: one file each, tensors and state together, so that a single rename makes it whole.

The tensors are safetensors, the state is JSON in the file's own metadata. The checkpoint before the last one is kept.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from convarith.errors import ConvarithError
from convarith_gallery.autoencoders.run_files import write_whole

LAST, BEFORE = "checkpoint.safetensors", "checkpoint-before.safetensors"
ABOUT = "convarith"
"""The entry of the metadata that holds state and digest: a single one, so that equal content gives equal bytes."""


class Checkpoint(NamedTuple):
    """Tensors by name, and the state: anything JSON can hold."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Make this the last checkpoint of a folder. Raises ConvarithError where it cannot be written."""
    write_file(folder / LAST, checkpoint, keep=folder / BEFORE)


def write_file(path: Path, checkpoint: Checkpoint, keep: Path | None = None) -> None:
    """Write tensors and state into one file, whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    about = {"state": checkpoint.state, "digest": _digest(checkpoint.state, tensors)}
    write_whole(path, save(tensors, {ABOUT: json.dumps(about)}), keep)


def read(folder: Path) -> Checkpoint | None:
    """The last checkpoint of a folder, or None where there is none.

    Raises ConvarithError for a damaged one; the one before it is left as it is, and the message says how to go on.
    """
    last, before = folder / LAST, folder / BEFORE
    if not last.exists():  # the process ended between the two renames of a write
        return read_file(before) if before.exists() else None
    try:
        return read_file(last)
    except ConvarithError as error:
        remedy = f"remove it and --resume goes on from {BEFORE}" if before.exists() else "remove it and begin anew"
        raise ConvarithError(f"{error}: {remedy}") from None


def read_file(path: Path) -> Checkpoint:
    """The content of one file. Raises ConvarithError where it is not what was written."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
            about = json.loads((file.metadata() or {})[ABOUT])
        if about["digest"] != _digest(about["state"], tensors):
            raise ConvarithError(f"{path} is damaged: its digest does not fit its content")
        return Checkpoint(tensors, about["state"])
    except (SafetensorError, KeyError, UnicodeDecodeError, json.JSONDecodeError):
        raise ConvarithError(f"{path} is damaged: it is no whole checkpoint") from None
    except OSError as error:
        raise ConvarithError(f"cannot read {path}: {error.strerror}") from None


def _digest(state: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """A hash of the state and of every tensor's name, type, shape and bytes."""
    digest = hashlib.blake2b(json.dumps(state).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
