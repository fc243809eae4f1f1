"""convarith report: show the results of all trained recipes in one table."""

from pathlib import Path
from typing import Annotated

import typer

from convarith_cli.answer import Answer, Block, Table
from convarith_cli.options import Json, command_app

app = command_app()

EXAMPLES = """
\b
Examples:
  convarith report
  convarith report sdae edsr
  convarith report runs --page report.html
"""


@app.command(epilog=EXAMPLES)
def report(
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER|RECIPE]...", show_default=False,
            help="Output folders of `convarith train`, or names of recipes for results that come with convarith; by "
            "default, all of those.",
        ),
    ] = None,
    page: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write the table as an HTML page.", show_default=False)
    ] = None,
    write_results: Annotated[
        bool, typer.Option("--write-results", help="Replace the results that come with convarith by these.")
    ] = False,
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a README or a paper.")] = False,
) -> Answer:  # fmt: skip
    """Show results in one table: test number, baseline, published number, seed, training time and verdict."""
    from convarith_gallery.autoencoders.output_files import write_whole
    from convarith_gallery.autoencoders.recipe import names
    from convarith_gallery.autoencoders.reporting import pages, results

    found = results.gather(places, names()) if places else results.read_committed()
    if write_results:
        results.write_committed(found)
    if page is not None:
        write_whole(Path(page), pages.suite_page(found, linked=False))
    rows = pages.number_rows(found)
    passed, missed = (sum(row[-1] == verdict for row in rows) for verdict in ("passed", "missed"))
    sources = dict.fromkeys(metrics["source"] for metrics in found)
    title = f"{len(found)} recipe{'s' * (len(found) > 1)}, {len(rows)} numbers"
    if passed or missed:
        title += f"; compared with published numbers: {passed} passed, {missed} missed"
    table = Table(pages.NUMBER_COLUMNS, rows, numbers=("test", "published", "seed", "epochs", "seconds"))
    training = f"training time: {results.time_of_training(found)}"
    blocks: list[Block] = [title, table, training, "\n".join(sources)]
    return Answer({"results": found}, blocks, as_json=as_json, as_markdown=as_markdown)
