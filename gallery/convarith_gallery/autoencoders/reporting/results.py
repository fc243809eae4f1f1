"""Results as data: what a recipe found, gathered from run folders into one table, with a verdict on every number."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from convarith.errors import ConvarithError
from convarith.sizes.normalise import nearest
from convarith_gallery.autoencoders.run_files import write_whole

COMMITTED = Path(__file__).parent / "results.json"
METRICS = "metrics.json"


def verdict(value: float, lower_is_better: bool, baseline: float | None, published: float | None) -> str:
    """What a number says: passed or missed the published one; where there is none, ahead of or behind the baseline.

    >>> verdict(0.012, True, baseline=0.027, published=0.0147)
    'passed'
    >>> verdict(0.91, False, baseline=0.95, published=None)
    'behind'
    """
    sign = 1 if lower_is_better else -1
    if published is not None:
        return "passed" if sign * value <= sign * published else "missed"
    if baseline is None:
        return "measured"
    if value == baseline:
        return "level"
    return "ahead" if sign * value < sign * baseline else "behind"


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write a recipe's results into its folder."""
    write_whole(folder / METRICS, as_text(metrics))


def as_text(document: object) -> str:
    """JSON as it is committed."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def read_metrics(path: Path) -> dict[str, Any]:
    """One recipe's results. Raises ConvarithError for a file that is none."""
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        metrics["recipe"], metrics["numbers"]
    except OSError as error:
        raise ConvarithError(f"cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError):
        raise ConvarithError(f"{path} holds no results: train the recipe again") from None
    found: dict[str, Any] = metrics
    return found


def gather(runs: Iterable[Path], order: list[str]) -> list[dict[str, Any]]:
    """The results of every recipe in folders of runs, or in a recipe's own folder; of a name those that come along.

    Raises ConvarithError for a folder without any.

    >>> [metrics["recipe"] for metrics in gather([Path("vae"), Path("fc")], ["fc", "vae"])]
    ['fc', 'vae']
    """
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        if run.exists():
            files = [run / METRICS] if (run / METRICS).exists() else sorted(run.glob(f"*/{METRICS}"))
            results = [read_metrics(file) for file in files]
        else:
            results = [metrics for metrics in read_committed() if _recipe(metrics) == str(run)]
        if not results:
            known = "give the folder that `convarith train` wrote" if run.exists() else nearest(str(run), order)
            raise ConvarithError(f"there are no results in {run}: {known}")
        found |= {metrics["recipe"]: metrics for metrics in results}
    rank = {name: number for number, name in enumerate(order)}
    return sorted(found.values(), key=lambda metrics: (rank.get(_recipe(metrics), len(rank)), metrics["recipe"]))


def _recipe(metrics: dict[str, Any]) -> str:
    """The recipe's name without the data, where that is not its own."""
    name: str = metrics["recipe"]
    return name.removesuffix(f"-{metrics['data']}")


def read_committed() -> list[dict[str, Any]]:
    """The results that come with the package."""
    found: list[dict[str, Any]] = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return found


def time_of_training(results: Iterable[dict[str, Any]]) -> str:
    """How long the trainings took on each device; one that recipes share counts once.

    >>> run = {"settings": {"seed": 0}, "device": "a CPU", "seconds": 7290.0}
    >>> time_of_training([{"runs": [run]}, {"runs": [run, run | {"settings": {"seed": 1}, "seconds": 90.0}]}])
    '2 h 3 min on a CPU'
    """
    trained = {as_text(run["settings"]): run for metrics in results for run in metrics["runs"]}
    seconds: dict[str, float] = {}
    for run in trained.values():
        seconds[run["device"]] = seconds.get(run["device"], 0) + run["seconds"]
    minutes = {device: round(spent / 60) for device, spent in seconds.items()}
    return ", ".join(f"{spent // 60} h {spent % 60} min on {device}" for device, spent in minutes.items())


def write_committed(results: list[dict[str, Any]], path: Path = COMMITTED) -> None:
    """Make these the results that come with the package; how the loss fell stays in the run folders."""
    kept = [
        metrics | {"runs": [{key: value for key, value in run.items() if key != "history"} for run in metrics["runs"]]}
        for metrics in results
    ]
    write_whole(path, as_text(kept))
