"""Report pages: self-contained HTML files with their pictures inside."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 86rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .9rem; }
table { display: block; overflow-x: auto; white-space: nowrap; }
th, td { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #ddd; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: min(100%, 60rem); } figure { margin: 1.5rem 0; } figcaption { color: #555; }
"""

NUMBER_COLUMNS = (
    "recipe",
    "variant",
    "metric",
    "test",
    "baseline",
    "published",
    "seed",
    "epochs",
    "seconds",
    "verdict",
)


def shown(value: float | None) -> str:
    """A number with four significant digits.

    >>> shown(0.014661), shown(104.69), shown(None), shown(12345.6)
    ('0.01466', '104.7', '', '12346')
    """
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def number_rows(results: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The rows of the table of all recipes, with the columns of NUMBER_COLUMNS."""
    return [
        (
            metrics["recipe"], number["variant"], number["metric"], shown(number["value"]),
            f"{shown(number['baseline'])} ({number['baseline_name']})" if number["baseline"] is not None else "",
            shown(number["published"]), str(number["seed"]), str(number["epochs"]), shown(number["seconds"]),
            number["verdict"],
        )
        for metrics in results
        for number in metrics["numbers"]
    ]  # fmt: skip


def recipe_page(metrics: dict[str, Any], folder: Path) -> str:
    """The page of one recipe: its numbers, its pictures, the layers of its models, and how they were trained."""
    parts = [f"<p>{escape(metrics['about'])}</p><p>{escape(metrics['lecture'])}</p><p>{escape(metrics['source'])}</p>"]
    parts.append(_table(NUMBER_COLUMNS, number_rows([metrics])))
    for picture in metrics["pictures"]:
        kind = "gif" if picture["file"].endswith(".gif") else "png"
        content = b64encode((folder / picture["file"]).read_bytes()).decode()
        caption = escape(picture["caption"])
        parts.append(
            f'<figure><img alt="{caption}" src="data:image/{kind};base64,{content}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    for variant in metrics["variants"]:
        parts.append(f"<h2>{escape(variant['label'] or metrics['recipe'])}</h2>")
        parts.append(_table(("", ""), [(name, str(variant[key])) for key, name in FACTS.items()]))
        layers = [tuple(str(layer[key]) for key in LAYER_COLUMNS) for layer in variant["layers"]]
        parts.append(_table(LAYER_COLUMNS, layers))
        settings = [(name, str(value)) for name, value in variant["settings"].items()]
        parts.append(f"<details><summary>settings</summary>{_table(('setting', 'value'), settings)}</details>")
    versions = ", ".join(f"{name} {version}" for name, version in metrics["versions"].items())
    parts.append(f"<p>{escape(versions)}</p>")
    return _page(metrics["recipe"], parts)


FACTS = {
    "parameters": "parameters",
    "device": "device",
    "precision": "precision",
    "seconds": "training time in seconds",
    "images_per_second": "images per second",
    "flops_per_step": "FLOPs per step",
    "fraction_of_peak": "fraction of the measured peak",
}
LAYER_COLUMNS = ("name", "layer", "output", "parameters", "macs")


def suite_page(results: Sequence[dict[str, Any]], linked: bool) -> str:
    """The page of the whole suite: one table, and a section per recipe, `linked` to the recipe's page."""
    parts = [_table(NUMBER_COLUMNS, number_rows(results))]
    for metrics in results:
        name = escape(metrics["recipe"])
        heading = f'<a href="{name}/report.html">{name}</a>' if linked else name
        parts.append(f"<h2>{heading}</h2><p>{escape(metrics['about'])} {escape(metrics['source'])}</p>")
    return _page("Reference autoencoders", parts)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    number = text.replace(".", "").replace("-", "").replace(",", "").isdigit()
    kind = ' class="number"' if number else ""
    return f"<td{kind}>{escape(text)}</td>"


def _page(title: str, parts: Sequence[str]) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</html>\n"
    )
