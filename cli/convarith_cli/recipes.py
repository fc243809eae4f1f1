"""convarith recipes: list the reference autoencoders that can be trained."""

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
        typer.Argument(metavar="[NAME]", help="Print the file of this recipe, to copy and edit.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> Answer:
    """List the reference autoencoders: what each one shows, and which setting it varies."""
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
        f"{len(chosen)} recipes; train one with: convarith train NAME",
        Table(("name", "varied", "what it shows"), rows),
    ]
    return Answer(data, blocks, as_json=as_json)
