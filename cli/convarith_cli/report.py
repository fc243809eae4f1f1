"""convarith report: every trained recipe in one table."""

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
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUNS]...", show_default=False,
            help="Folders of `convarith train`; a recipe's name, or nothing, for the results that come with convarith.",
        ),
    ] = None,
    page: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the table as a page, too.", show_default=False)
    ] = None,
    write_results: Annotated[
        bool, typer.Option("--write-results", help="Make these the results that come with convarith.")
    ] = False,
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Markdown, for a README or a paper.")] = False,
) -> Answer:  # fmt: skip
    """One table: recipe, test number, trivial baseline, published number, seed, seconds, verdict."""
    from convarith_gallery.autoencoders.recipe import names
    from convarith_gallery.autoencoders.reporting import pages, results
    from convarith_gallery.autoencoders.run_files import write_whole

    found = results.gather(runs, names()) if runs else results.read_committed()
    if write_results:
        results.write_committed(found)
    if page is not None:
        write_whole(Path(page), pages.suite_page(found, linked=False))
    rows = pages.number_rows(found)
    passed, missed = (sum(row[-1] == verdict for row in rows) for verdict in ("passed", "missed"))
    sources = dict.fromkeys(metrics["source"] for metrics in found)
    title = f"{len(found)} recipe{'s' * (len(found) > 1)}, {len(rows)} numbers"
    if passed or missed:
        title += f"; of those with a published one {passed} passed, {missed} missed"
    table = Table(pages.NUMBER_COLUMNS, rows, numbers=("test", "published", "seed", "epochs", "seconds"))
    blocks: list[Block] = [title, table, f"trained in {results.time_of_training(found)}", "\n".join(sources)]
    return Answer({"results": found}, blocks, as_json=as_json, as_markdown=as_markdown)
