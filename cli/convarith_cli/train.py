"""convarith train: train a reference autoencoder from a recipe and report its numbers and pictures."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convarith_cli.answer import Answer, Block, Facts, Table
from convarith_cli.options import Json, command_app

if TYPE_CHECKING:
    from convarith_gallery.autoencoders.run import Watch
    from convarith_gallery.autoencoders.training.loop import Progress as Done

app = command_app()

EXAMPLES = """
\b
Examples:
  convarith train conv --epochs 2
  convarith train deep --latent 8 --data mnist --download
  convarith train my-recipe.toml --set schedule=constant --set l1=0.01
  convarith train noise2noise --pairs FOLDER
  convarith train deep --encoder my.py:Encoder --out runs/mine
  convarith train all --data FOLDER --out runs --resume
  torchrun --nproc-per-node 2 -m convarith_cli train deep --latent 8
"""


@app.command(epilog=EXAMPLES)
def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="A name from `convarith recipes`, a .toml file, or 'all'.", show_default=False
        ),
    ],
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="The number of passes over the data.", show_default=False)
    ] = None,
    latent: Annotated[
        int | None, typer.Option(metavar="N", help="The length of the code.", show_default=False)
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER", show_default=False,
            help="mnist, fashion-mnist or digits, or a folder with IDX files. Names are searched in $CONVARITH_DATA "
            "and the cache. By default, the recipe's own data, or the digits if that is not found.",
        ),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", show_default=False,
            help="For noise2noise: your own noisy pictures, two of each scene with the same name in its subfolders "
            "a and b.",
        ),
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Download the data if it is not found.")] = False,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Another seed gives another training.", show_default=False)
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="LAYERS|CODE", show_default=False,
            help="Your own encoder, as layers or my.py:Encoder; the decoder is designed to mirror it.",
        ),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change any setting of the recipe.", show_default=False),
    ] = None,
    out: Annotated[
        str, typer.Option(metavar="FOLDER", help="The output folder; each recipe gets a subfolder.")
    ] = "runs",
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted training in the output folder.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="The number of CPU threads.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> Answer | int:  # fmt: skip
    """Train a reference autoencoder.

    Writes a folder with the numbers and their baselines, curves, pictures, animations, a report page, and the trained
    model. Ctrl-C leaves a checkpoint; --resume continues from it, with bit-identical results on a CPU.
    """
    from convarith_gallery.autoencoders.requirements import require

    require()
    import torch
    from convarith_gallery.autoencoders.datasets.load import load
    from convarith_gallery.autoencoders.datasets.natural import pairs as own_pairs
    from convarith_gallery.autoencoders.recipe import names, read_change, read_recipe
    from convarith_gallery.autoencoders.run import is_first, run_recipe
    from convarith_gallery.autoencoders.training.devices import choose
    from convarith_gallery.autoencoders.training.loop import Diverged, Interrupted

    named = {"epochs": epochs, "latent": latent, "seed": seed, "encoder": encoder}
    changes = {name: value for name, value in named.items() if value is not None}
    if pairs is not None:
        changes |= {"targets": "pairs", "corruption": ""}
    changes |= dict(read_change(text) for text in change or ())
    recipes = [read_recipe(name).with_changes(changes) for name in (names() if recipe == "all" else [recipe])]
    chosen = choose(device)
    if threads is not None:
        torch.set_num_threads(threads)
    results, failures = [], []
    with _progress() as watch:
        for each in recipes:
            loaded = load(each.settings.dataset, data, download) if pairs is None else own_pairs(Path(pairs))
            print(f"{each.name}: {loaded.source}", file=sys.stderr)
            try:
                results.append(run_recipe(each, loaded, Path(out), chosen, resume=resume, watch=watch))
            except Diverged as error:
                failures.append(f"{each.name}: {error}")
            except Interrupted as error:
                again = shlex.join(["convarith", *(word for word in sys.argv[1:] if word != "--resume"), "--resume"])
                print(f"{each.name}: {error}; continue with: {again}", file=sys.stderr)
                return 130
    if not is_first():
        return 0
    return _answer(results, failures, out, as_json)


def _answer(results: list[dict[str, Any]], failures: list[str], out: str, as_json: bool) -> Answer:
    from convarith_gallery.autoencoders.reporting.pages import NUMBER_COLUMNS, number_rows

    columns = NUMBER_COLUMNS
    blocks: list[Block] = []
    for metrics in results:
        blocks.append(f"{metrics['recipe']}: {metrics['about']}")
        facts = [("data", metrics["source"])]
        for variant in metrics["variants"]:
            speed = (
                f"{_epochs(variant['epochs'])} in {variant['seconds']:.0f} s on {variant['device']}, "
                f"{variant['precision']}: {variant['images_per_second']:,.0f} images/s, "
                f"{100 * variant['fraction_of_peak']:.0f} % of the measured peak"
            )
            facts.append((variant["label"] or "training", speed))
        facts.append(("report", str(Path(out, metrics["recipe"], "report.html"))))
        blocks += [
            Facts(facts),
            Table(columns, number_rows([metrics]), numbers=("test", "published", "seed", "epochs", "seconds")),
        ]
    blocks += failures
    data = {"results": results, "failures": failures}
    return Answer(data, blocks, as_json=as_json, exit_code=1 if failures else 0)


@contextmanager
def _progress() -> Iterator["Watch"]:
    """A progress bar on standard error if it is a terminal; else one line per epoch."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, Any] = {}

        def watch(name: str, done: "Done") -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=done.steps)
            text = f"{name}, epoch {done.epoch + 1}/{done.epochs}"
            bar.update(tasks[name], completed=done.step, description=text)

        yield watch


def _epochs(count: int) -> str:
    return f"{count:,} epoch{'s' * (count != 1)}"


def _line(name: str, done: "Done") -> None:
    if done.epoch_end is not None:
        numbers = ", ".join(f"{key} {value:.4g}" for key, value in done.epoch_end.items() if value)
        print(f"{name}: epoch {done.epoch + 1}/{done.epochs}: {numbers}", file=sys.stderr, flush=True)
