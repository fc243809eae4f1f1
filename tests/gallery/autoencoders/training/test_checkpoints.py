"""Checkpoints.

- Tensors are read as they were written, bit for bit, and so is the state.
- A byte that is changed or lost anywhere in a file is detected, and the previous checkpoint is intact.
- If a file cannot be written completely, the old file stays.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="trains with torch, which is not installed")

import torch
from convarith_gallery.autoencoders.training.checkpoints import BEFORE, LAST, Checkpoint, read, read_file, write

from convarith.errors import ConvarithError

pytestmark = pytest.mark.slow


def checkpoint(step: int) -> Checkpoint:
    torch.manual_seed(step)
    weight = torch.randn(4, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    return Checkpoint(
        {"weight": weight, "count": torch.tensor(step), "half": torch.randn(3).bfloat16()}, {"step": step}
    )


def assert_same(one: Checkpoint | None, other: Checkpoint) -> None:
    assert one is not None
    assert one.state == other.state
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert tensor.dtype == other.tensors[name].dtype
        assert torch.equal(tensor, other.tensors[name])


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    write(tmp_path, checkpoint(1))
    write(tmp_path, checkpoint(2))
    assert_same(read(tmp_path), checkpoint(2))
    assert_same(read_file(tmp_path / BEFORE), checkpoint(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([LAST, BEFORE])


def test_a_write_that_ended_between_its_two_renames_is_no_loss(tmp_path: Path) -> None:
    write(tmp_path, checkpoint(1))
    (tmp_path / LAST).rename(tmp_path / BEFORE)
    assert_same(read(tmp_path), checkpoint(1))


def test_every_damage_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, checkpoint(1))
    write(tmp_path, checkpoint(2))
    whole, rng = (tmp_path / LAST).read_bytes(), random.Random(0)
    spoilt = [whole[: rng.randrange(len(whole))] for _ in range(20)]
    for _ in range(60):
        at = rng.randrange(len(whole))
        spoilt.append(whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :])
    messages = []
    for content in spoilt:
        (tmp_path / LAST).write_bytes(content)
        try:
            found = read(tmp_path)
        except ConvarithError as error:
            messages.append(str(error))
        else:  # a byte of the header's padding
            assert_same(found, checkpoint(2))
    assert len(messages) >= 70
    for message in messages:
        assert re.search(rf"is damaged: .*: delete it to --resume from {BEFORE}$", message)
    (tmp_path / LAST).unlink()
    assert_same(read(tmp_path), checkpoint(1))


def test_no_room_leaves_what_was_there(tmp_path: Path) -> None:
    """A process that may only write files of up to 1,000 bytes."""
    write(tmp_path, checkpoint(1))
    program = (
        "import resource, sys, torch\nfrom pathlib import Path\n"
        "from convarith_gallery.autoencoders.training.checkpoints import Checkpoint, write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write(Path(sys.argv[1]), Checkpoint({'weight': torch.zeros(1000)}, {'step': 2}))\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == f"cannot write {tmp_path / LAST}: File too large\n"
    assert_same(read(tmp_path), checkpoint(1))
    assert [path.name for path in tmp_path.iterdir()] == [LAST]
