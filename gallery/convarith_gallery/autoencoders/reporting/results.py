"""Results as data: the metrics of each recipe, gathered from folders into one list, with a verdict on every number."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from convarith.errors import ConvarithError
from convarith.sizes.normalise import nearest
from convarith_gallery.autoencoders.output_files import write_whole

COMMITTED = Path(__file__).parent / "results.json"
METRICS = "metrics.json"


def verdict(value: float, lower_is_better: bool, baseline: float | None, published: float | None) -> str:
    """The verdict on a number: passed or missed against the published number, else ahead of or behind the baseline.

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
    """Write the results of a recipe into its folder."""
    write_whole(folder / METRICS, as_text(metrics))


def as_text(document: object) -> str:
    """A JSON document in the form in which it is committed."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def read_metrics(path: Path) -> dict[str, Any]:
    """The results of one recipe. Raises ConvarithError if the file does not contain any."""
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        metrics["recipe"], metrics["numbers"], metrics["variants"]
    except OSError as error:
        raise ConvarithError(f"cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError):
        raise ConvarithError(f"{path} does not contain results: train the recipe again") from None
    found: dict[str, Any] = metrics
    return found


def gather(places: Iterable[Path], order: list[str]) -> list[dict[str, Any]]:
    """The results in output folders, in folders of single recipes, or of committed recipes given by name.

    Raises ConvarithError if a folder has no results, or a name is unknown.

    >>> [metrics["recipe"] for metrics in gather([Path("vae"), Path("fc")], ["fc", "vae"])]
    ['fc', 'vae']
    """
    found: dict[str, dict[str, Any]] = {}
    for place in places:
        if place.exists():
            files = [place / METRICS] if (place / METRICS).exists() else sorted(place.glob(f"*/{METRICS}"))
            results = [read_metrics(file) for file in files]
        else:
            results = [metrics for metrics in read_committed() if _recipe(metrics) == str(place)]
        if not results:
            known = "give the folder that `convarith train` wrote" if place.exists() else nearest(str(place), order)
            raise ConvarithError(f"there are no results in {place}: {known}")
        found |= {metrics["recipe"]: metrics for metrics in results}
    rank = {name: number for number, name in enumerate(order)}
    return sorted(found.values(), key=lambda metrics: (rank.get(_recipe(metrics), len(rank)), metrics["recipe"]))


def _recipe(metrics: dict[str, Any]) -> str:
    """The name of the recipe, without the data set that `run` appends if it is not the recipe's own."""
    name: str = metrics["recipe"]
    return name.removesuffix(f"-{metrics['data']}")


def read_committed() -> list[dict[str, Any]]:
    """The results that are part of the package."""
    found: list[dict[str, Any]] = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return found


def time_of_training(results: Iterable[dict[str, Any]]) -> str:
    """The training time on each device; models that several recipes share are counted once.

    >>> variant = {"settings": {"seed": 0}, "device": "a CPU", "seconds": 7290.0}
    >>> other = variant | {"settings": {"seed": 1}, "seconds": 90.0}
    >>> time_of_training([{"variants": [variant]}, {"variants": [variant, other]}])
    '2 h 3 min on a CPU'
    """
    trained = {as_text(variant["settings"]): variant for metrics in results for variant in metrics["variants"]}
    seconds: dict[str, float] = {}
    for variant in trained.values():
        seconds[variant["device"]] = seconds.get(variant["device"], 0) + variant["seconds"]
    minutes = {device: round(spent / 60) for device, spent in seconds.items()}
    return ", ".join(f"{spent // 60} h {spent % 60} min on {device}" for device, spent in minutes.items())


def write_committed(results: list[dict[str, Any]], path: Path = COMMITTED) -> None:
    """Make these the results that are part of the package, without the history of the losses."""
    kept = [
        metrics
        | {
            "variants": [
                {key: value for key, value in variant.items() if key != "history"} for variant in metrics["variants"]
            ]
        }
        for metrics in results
    ]
    write_whole(path, as_text(kept))
