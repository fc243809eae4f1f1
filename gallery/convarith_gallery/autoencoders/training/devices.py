"""The device that a model is trained on: its choice, name, peak speed and precision."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import torch

from convarith.errors import ConvarithError


def choose(name: str) -> torch.device:
    """The device with this name: auto (cuda, else mps, else cpu), cpu, cuda, cuda:1 or mps.

    Under torchrun, each process gets a GPU of its own. Raises ConvarithError for a device that does not exist.

    >>> choose("cpu")
    device(type='cpu')
    """
    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if torch.cuda.is_available():
        there = ["cuda", *(f"cuda:{number}" for number in range(torch.cuda.device_count())), *there]
    if name != "auto" and name not in there:
        raise ConvarithError(f"there is no device {name!r}: choose from auto, {', '.join(there)}")
    chosen = there[0] if name == "auto" else name
    if chosen == "cuda":
        chosen = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return torch.device(chosen)


def describe(device: torch.device) -> str:
    """A description of the device: the name of the GPU, or of the processor with the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return f"{platform.processor() or 'Apple'} GPU"
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    threads = torch.get_num_threads()
    return f"{model or platform.processor() or platform.machine()}, {threads} thread{'s' if threads != 1 else ''}"


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 is fast: on GPUs from Ampere on, and on CPUs with AMX. Elsewhere it is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)  # torch has no public name for it
    return device.type == "cpu" and bool(amx())


def precision_of(wanted: str, device: torch.device) -> torch.dtype:
    """The type that products are computed in.

    >>> precision_of("fp32", torch.device("cpu"))
    torch.float32
    """
    use = wanted == "bf16" or (wanted == "auto" and has_fast_bf16(device))
    return torch.bfloat16 if use else torch.float32


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_flops(device: torch.device, dtype: torch.dtype, budget: float = 0.3) -> float:
    """The FLOP/s that square matrix products reach on the device: the best within a budget of seconds."""
    size = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + budget
    while time.perf_counter() < end or best == float("inf"):
        synchronise(device)
        start = time.perf_counter()
        left @ right
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
