"""Checkpoints: tensors and state in a single file, so that one rename replaces both at once.

The file is in the safetensors format, and its metadata has the state as JSON. The previous checkpoint is kept.
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
from convarith_gallery.autoencoders.output_files import write_whole

LAST, BEFORE = "checkpoint.safetensors", "checkpoint-before.safetensors"
ABOUT = "convarith"
"""The metadata entry with the state and the digest. There is only one, so that equal content gives equal bytes."""


class Checkpoint(NamedTuple):
    """Tensors by name, and a state of anything that JSON can hold."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Write the latest checkpoint of a folder. Raises ConvarithError if it cannot be written."""
    write_file(folder / LAST, checkpoint, keep=folder / BEFORE)


def write_file(path: Path, checkpoint: Checkpoint, keep: Path | None = None) -> None:
    """Write tensors and state into one file, completely or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    about = {"state": checkpoint.state, "digest": _digest(checkpoint.state, tensors)}
    write_whole(path, save(tensors, {ABOUT: json.dumps(about)}), keep)


def read(folder: Path) -> Checkpoint | None:
    """The latest checkpoint of a folder, or None if there is none.

    Raises ConvarithError if it is damaged. The previous checkpoint stays, and the message says how to continue from it.
    """
    last, before = folder / LAST, folder / BEFORE
    if not last.exists():  # the process ended between the two renames of a write
        return read_file(before) if before.exists() else None
    try:
        return read_file(last)
    except ConvarithError as error:
        remedy = f"delete it to --resume from {BEFORE}" if before.exists() else "delete it to start again"
        raise ConvarithError(f"{error}: {remedy}") from None


def read_file(path: Path) -> Checkpoint:
    """The content of one file. Raises ConvarithError if it is not what was written."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is not a dictionary
            about = json.loads((file.metadata() or {})[ABOUT])
        if about["digest"] != _digest(about["state"], tensors):
            raise ConvarithError(f"{path} is damaged: its digest does not match its content")
        return Checkpoint(tensors, about["state"])
    except (SafetensorError, KeyError, UnicodeDecodeError, json.JSONDecodeError):
        raise ConvarithError(f"{path} is damaged: it is not a complete checkpoint") from None
    except OSError as error:
        raise ConvarithError(f"cannot read {path}: {error.strerror}") from None


def _digest(state: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """A hash of the state, and of the name, type, shape and bytes of every tensor."""
    digest = hashlib.blake2b(json.dumps(state).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
