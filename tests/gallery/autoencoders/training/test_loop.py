"""The training loop.

- It is the plain loop in torch: the same batches give the same weights.
- A training that is interrupted anywhere, by an exception, kill -9 or Ctrl-C, and then resumed, ends with the weights,
  optimiser state and history of one that was never interrupted, bit for bit.
- Two processes that share every batch give the same result as one.
- A loss that is not finite stops the training, and the last good checkpoint stays.
- The result in bf16 is near the one in fp32.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.tiny_trainings import TINY, train_tiny

pytest.importorskip("torch", reason="trains with torch, which is not installed")

import torch
from convarith_gallery.autoencoders.datasets.dataset import as_float
from convarith_gallery.autoencoders.datasets.digits import digits
from convarith_gallery.autoencoders.models.build import build
from convarith_gallery.autoencoders.recipe import Settings, changed
from convarith_gallery.autoencoders.seeds import seed_from
from convarith_gallery.autoencoders.training import checkpoints
from convarith_gallery.autoencoders.training.loop import Diverged, Interrupted, Progress, learning_rate

from convarith.errors import ConvarithError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("torch")]


def contents(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The latest checkpoint in a folder, without the measured time."""
    saved = checkpoints.read(folder)
    assert saved is not None
    return saved.tensors, {key: value for key, value in saved.state.items() if key != "seconds"}


def assert_same_run(one: Path, other: Path) -> None:
    (tensors, state), (others, same) = contents(one), contents(other)
    assert state == same
    assert tensors.keys() == others.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    train_tiny(folder)
    return folder


def test_it_is_the_plain_loop(tmp_path: Path) -> None:
    changes = {"variational": False, "dropout": 0.0, "validation": 0.0, "epochs": 2}
    trained = train_tiny(tmp_path, **changes)
    settings = changed(Settings("Identity()"), TINY | changes)
    images = as_float(digits().train[: settings.images])
    model = build(settings, (1, 28, 28))
    optimiser = torch.optim.Adam(model.parameters())
    steps = 2 * len(images) // 32
    for epoch in range(2):
        generator = torch.Generator().manual_seed(seed_from(0, "order", epoch))
        for at, index in enumerate(torch.randperm(len(images), generator=generator).split(32)):
            optimiser.param_groups[0]["lr"] = learning_rate(settings, epoch * steps // 2 + at, steps)
            loss = 0.5 * (model(images[index]) - images[index]).pow(2).sum() / 32
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    for ours, plain in zip(trained.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4)


class Stop(Exception):
    """Interrupts a training."""


@pytest.mark.parametrize("seed", range(4))
def test_stopped_anywhere_and_resumed_it_is_the_same_run(tmp_path: Path, whole: Path, seed: int) -> None:
    rng = random.Random(seed)

    def stop_sometimes(progress: Progress) -> None:
        if rng.random() < 0.15:
            raise Stop

    for attempt in range(100):
        try:
            train_tiny(tmp_path, resume=attempt > 0, seconds=rng.choice([0, 0.01, 60]), watch=stop_sometimes)
            break
        except Stop:
            continue
    assert_same_run(tmp_path, whole)


def test_killed_and_resumed_it_is_the_same_run(tmp_path: Path, whole: Path) -> None:
    command = [sys.executable, str(Path(__file__).parents[3] / "support/tiny_trainings.py"), str(tmp_path)]
    rng, kills = random.Random(0), 0
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            before = newest(tmp_path)
            while process.poll() is None and newest(tmp_path) == before:
                time.sleep(0.002)
            time.sleep(0.02 * rng.random())
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += process.returncode == -signal.SIGKILL
    assert kills
    train_tiny(tmp_path, resume=True)
    assert_same_run(tmp_path, whole)


def newest(folder: Path) -> float:
    """The time at which the latest checkpoint was written, 0 if there is none."""
    try:
        return (folder / checkpoints.LAST).stat().st_mtime
    except FileNotFoundError:
        return 0


def test_ctrl_c_leaves_a_checkpoint_behind_a_whole_step(tmp_path: Path, whole: Path) -> None:
    def press(progress: Progress) -> None:
        if progress.step == 13:
            os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="stopped at step 14 of 27"):
        train_tiny(tmp_path, seconds=60, watch=press)
    assert signal.getsignal(signal.SIGINT) is handler
    assert contents(tmp_path)[1]["step"] == 14
    train_tiny(tmp_path, resume=True, seconds=60)
    assert_same_run(tmp_path, whole)


def test_another_seed_is_another_run(tmp_path: Path, whole: Path) -> None:
    train_tiny(tmp_path, seed=1)
    assert not torch.equal(
        contents(tmp_path)[0]["model.encoder.0.weight"], contents(whole)[0]["model.encoder.0.weight"]
    )


def test_other_settings_are_not_resumed(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(
        ConvarithError, match=r"trained with other settings \(batch was 32, now 16\): choose another folder with --out"
    ):
        train_tiny(whole, resume=True, batch=16)


def test_no_number_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"not finite at step \d+: the checkpoint of step (\d+) in .* is good; .*--set"):
        train_tiny(tmp_path, learning_rate=1e18, schedule="constant", warmup=0.9, variational=False)
    tensors, state = contents(tmp_path)
    assert state["step"] >= 1
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_batch_that_does_not_split_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(
        ConvarithError, match=r"a batch of 32 cannot be split evenly among 3 processes: .* --set batch=N"
    ):
        train_tiny(tmp_path)


def test_bf16_ends_near_fp32(tmp_path: Path) -> None:
    ends = [
        train_tiny(tmp_path / precision, precision=precision, variational=False, dropout=0.0, seconds=60, epochs=6)
        for precision in ("fp32", "bf16")
    ]
    full, half = (trained.history[-1]["validation_mse"] for trained in ends)
    assert half == pytest.approx(full, rel=0.03)


def test_two_processes_end_where_one_does(tmp_path: Path) -> None:
    """torchrun with gloo. The gradients are summed in another order, so the weights are equal up to rounding."""
    train_tiny(tmp_path / "one", variational=False, dropout=0.0, seconds=60)
    program = (
        "import sys; from pathlib import Path; from support.tiny_trainings import train_tiny; "
        "train_tiny(Path(sys.argv[1]), variational=False, dropout=0.0, seconds=60)"
    )
    script = tmp_path / "two.py"
    script.write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    paths = [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(script), str(tmp_path / "two")], env=environment, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (one, _), (two, _) = contents(tmp_path / "one"), contents(tmp_path / "two")
    for name in one:
        if name.startswith("model."):
            torch.testing.assert_close(one[name], two[name], atol=1e-5, rtol=1e-3)
