"""convarith recipes: what can be trained."""

from typing import Annotated

import typer

from convarith_cli.answer import Answer, Block, Table
from convarith_cli.options import Json, command_app

app = command_app()

EXAMPLES = """
\b
Examples:
  convarith recipes
  convarith recipes deep > my-recipe.toml
"""


@app.command(epilog=EXAMPLES)
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Print this recipe's file, to copy and change.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> Answer:
    """The reference autoencoders: what each shows, what is varied, what is measured."""
    from convarith_gallery.autoencoders.recipe import FOLDER, names, read_recipe

    chosen = [read_recipe(each) for each in (names() if name is None else [name])]
    data = {
        "recipes": [
            {
                "name": recipe.name, "about": recipe.about, "lecture": recipe.lecture, "of": recipe.of or None,
                "variants": [label for label, _ in recipe.variants()], "evaluations": list(recipe.evaluations),
                "settings": vars(recipe.settings),
            }
            for recipe in chosen
        ]
    }  # fmt: skip
    if name is not None:
        return Answer(data, [(FOLDER / f"{chosen[0].name}.toml").read_text(encoding="utf-8").rstrip()], as_json=as_json)
    rows = []
    for recipe in chosen:
        values = ", ".join(map(str, recipe.sweep[1])) if recipe.sweep else ""
        rows.append((recipe.name, f"{recipe.sweep[0]} {values}" if recipe.sweep else "", recipe.about))
    blocks: list[Block] = [
        f"{len(chosen)} recipes: convarith train NAME",
        Table(("name", "varied", "what it shows"), rows),
    ]
    return Answer(data, blocks, as_json=as_json)
