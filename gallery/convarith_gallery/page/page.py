"""Writing the gallery's HTML: a card for each film on the index page, and one page per film. No network is needed.

The text is plain HTML. assets/gallery.js draws the films from data, and assets/gallery.css is the style sheet. The data
of each film is a script of its own, because a page opened from disk is not allowed to fetch any other kind of file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from convarith.errors import ConvarithError, ParameterError
from convarith_gallery.atomic_file import whole_file
from convarith_gallery.drawing.film import Box, Film, Item, Line
from convarith_gallery.drawing.outline import CAP_HEIGHT, HEAVY, NOTE, OUTLINE, TEXT_MARGIN
from convarith_gallery.drawing.theme import THEMES

WEB = Path(__file__).with_name("assets")
WIDE = 760
"""A film wider than this many points takes the space of two cards."""


class Exhibit(NamedTuple):
    """A film and the texts that belong to it.

    Attributes:
        name: a unique name, used in file names and in the link index.html#scene-NAME: a letter or digit, then letters,
            digits, '.', '_' and '-'.
        group: the heading under which it is listed.
        title: a few words.
        film: the film, with one caption per frame.
        call: the call that makes the layer in the framework.
        command: the command that draws the picture.
        text: one sentence of explanation.
        parameters: names and values.
    """

    name: str
    group: str
    title: str
    film: Film
    call: str
    command: str
    text: str
    parameters: tuple[tuple[str, str], ...]


def write_gallery(
    exhibits: Sequence[Exhibit], folder: str | Path, pictures: Mapping[str, Sequence[str]] | None = None
) -> list[Path]:
    """Write index.html, scenes/NAME.html and assets/ into a folder. Other files in it are left alone.

    Each file is written atomically. index.html, which links to all the others, is written last.

    Args:
        exhibits: the exhibits in the order of the page. A group is placed where its first exhibit is.
        folder: the folder, created if it does not exist.
        pictures: for each name, the files offered for download, relative to the folder.

    Returns:
        The paths that were written.

    Raises:
        ParameterError: a name cannot be a file name or is not unique, or a film has no frames or does not have one
            caption per frame.
        ConvarithError: the folder or a file cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> film = Film(40, 40, (Box(0, 0, 40, 40, "input"),), ({},), ("one box",), "A box", "A blue box.")
    >>> exhibit = Exhibit("box", "Boxes", "A box", film, "Box()", "draw box", "It is blue.", (("size", "40"),))
    >>> with TemporaryDirectory() as folder:
    ...     [path.relative_to(folder).as_posix() for path in write_gallery([exhibit], folder)][-3:]
    ['assets/films/box.js', 'scenes/box.html', 'index.html']
    """
    files = {Path(folder, name): text for name, text in gallery_files(exhibits, pictures or {}).items()}
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConvarithError(f"cannot make the folder {path.parent}: {error.strerror}") from None
        with whole_file(str(path)) as beside:
            Path(beside).write_text(text, encoding="utf-8", newline="\n")
    return list(files)


def gallery_files(exhibits: Sequence[Exhibit], pictures: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The text of each file of the gallery, by its path in the folder. index.html comes last.

    Raises ParameterError as `write_gallery` does.

    >>> sorted(gallery_files([], {}))
    ['assets/colours.css', 'assets/gallery.css', 'assets/gallery.js', 'index.html']
    """
    _check(exhibits)
    groups: dict[str, list[Exhibit]] = {}
    for exhibit in exhibits:
        groups.setdefault(exhibit.group, []).append(exhibit)
    ordered = [exhibit for members in groups.values() for exhibit in members]

    files = {f"assets/{name}": (WEB / name).read_text(encoding="utf-8") for name in ("gallery.css", "gallery.js")}
    files["assets/colours.css"] = _colours()
    for number, exhibit in enumerate(ordered):
        data = json.dumps(film_data(exhibit.film), separators=(",", ":"))
        files[f"assets/films/{exhibit.name}.js"] = f"receiveFilm({json.dumps(exhibit.name)}, {data});\n"
        before = ordered[number - 1] if number else None
        after = ordered[number + 1] if number + 1 < len(ordered) else None
        group = list(groups).index(exhibit.group)
        files[f"scenes/{exhibit.name}.html"] = _scene(exhibit, group, before, after, pictures.get(exhibit.name, ()))
    files["index.html"] = _index(groups, pictures)
    return files


def film_data(film: Film) -> dict[str, Any]:
    """A film as data for JSON: each distinct item once, without the values that equal the default of its type.

    `pool` holds the items. `items` and `frames` refer to them by index, with null for none. `box` and `line` hold the
    defaults, and `shape` the measures that all ways of drawing a film share.

    >>> film = Film(9, 9, (Box(0, 0, 9, 9), None), ({}, {1: Box(0, 0, 9, 9)}), ("a", "b"), "", "")
    >>> data = film_data(film)
    >>> data["pool"], data["items"], data["frames"]
    ([{'x': 0, 'y': 0, 'width': 9, 'height': 9}], [0, None], [{}, {1: 0}])
    """
    pool: dict[Item, int] = {}

    def pooled(item: Item | None) -> int | None:
        return None if item is None else pool.setdefault(item, len(pool))

    items = [pooled(item) for item in film.items]
    frames = [{number: pooled(item) for number, item in changes.items()} for changes in film.frames]
    return {
        "width": film.width,
        "height": film.height,
        "title": film.title,
        "alt": film.alt,
        "box": Box._field_defaults,
        "line": Line._field_defaults,
        "shape": {
            "outline": OUTLINE,
            "heavy": HEAVY,
            "cap_height": CAP_HEIGHT,
            "text_margin": TEXT_MARGIN,
            "note": NOTE,
        },
        "pool": [_unusual(item) for item in pool],
        "items": items,
        "frames": frames,
        "captions": film.captions,
    }


def _unusual(item: Item) -> dict[str, Any]:
    """The values of an item that differ from the default of its type."""
    defaults = item._field_defaults
    return {name: value for name, value in item._asdict().items() if name not in defaults or value != defaults[name]}


def _check(exhibits: Sequence[Exhibit]) -> None:
    names: set[str] = set()
    for name, film in ((exhibit.name, exhibit.film) for exhibit in exhibits):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise ParameterError(
                f"exhibit {name!r} cannot be a file name: start with a letter or digit, and use only letters, digits, "
                "'.', '_' and '-'"
            )
        if name.lower() in names:  # many file systems ignore case
            raise ParameterError(
                f"two exhibits have the name {name!r}: give each a name that differs in more than upper and lower case"
            )
        if not 0 < len(film.frames) == len(film.captions):
            counts = ((len(film.frames), "frame"), (len(film.captions), "caption"))
            found = " and ".join(f"{count} {word}{'s' if count != 1 else ''}" for count, word in counts)
            raise ParameterError(f"exhibit {name!r} has {found}: give at least one frame, and one caption per frame")
        names.add(name.lower())


def _colours() -> str:
    """Each role of the themes as a CSS property, with the ink that is readable on it as --on-ROLE."""
    light, dark = (THEMES[name] for name in ("light", "dark"))
    lines = []
    for role in light.colours:
        for name, roles in ((role, (role, role)), (f"on-{role}", (light.ink_on(role), dark.ink_on(role)))):
            pair = (bytes(each.colours[of]).hex() for each, of in zip((light, dark), roles, strict=True))
            lines.append(f"  --{name}: light-dark({', '.join(f'#{colour}' for colour in pair)});\n")
    return f":root {{\n{''.join(lines)}}}\n"


def _document(title: str, kind: str, root: str, body: str) -> str:
    """An HTML page. `root` is the relative path from the page to the folder of the gallery."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{root}assets/colours.css">
<link rel="stylesheet" href="{root}assets/gallery.css">
<script src="{root}assets/gallery.js"></script>
</head>
<body class="{kind}">
{body}
<p id="said" class="unseen" role="status"></p>
</body>
</html>
"""


def _index(groups: Mapping[str, Sequence[Exhibit]], pictures: Mapping[str, Sequence[str]]) -> str:
    count = sum(map(len, groups.values()))
    links = "\n".join(
        f'<li><a href="#group-{number}">{escape(group)} <span>{len(members)}</span></a></li>'
        for number, (group, members) in enumerate(groups.items())
    )
    sections = "\n".join(
        f"""<section class="group" id="group-{number}" aria-labelledby="group-{number}-title">
<h2 id="group-{number}-title">{escape(group)}</h2>
<div class="cards">
{"".join(_card(exhibit, pictures.get(exhibit.name, ())) for exhibit in members)}</div>
</section>"""
        for number, (group, members) in enumerate(groups.items())
    )
    scenes = "1 scene" if count == 1 else f"{count} scenes"
    return _document(
        "Convolutions, step by step",
        "index",
        "",
        f"""<header class="masthead">
<p class="brand">convarith</p>
<h1>Convolutions, step by step</h1>
<p class="lead">{scenes} that you can play, pause and step through one frame at a time.
Each one shows its parameters, the call that makes the layer, and the command that draws the picture.</p>
<nav aria-label="Groups"><ul class="jumps">
{links}
</ul></nav>
</header>
<div class="toolbar">
<label class="search"><span class="unseen">Search the scenes</span>
<input id="search" type="search" placeholder="Search: stride, pool, dilation …" autocomplete="off"></label>
<span id="found" class="found" role="status">{scenes}</span>
<button id="play-all" class="plain" type="button">Play all</button>
{_SPEED_AND_LOOP}
{_THEME}
</div>
<main>
{sections}
<p id="nothing" class="nothing" hidden>No scene contains all of these words.</p>
</main>""",
    )


def _card(exhibit: Exhibit, pictures: Sequence[str]) -> str:
    name = exhibit.name
    words = (name, exhibit.group, exhibit.title, exhibit.text, exhibit.call, exhibit.command)
    search = " ".join((*words, *(f"{key} {value} {key}={value}" for key, value in exhibit.parameters))).lower()
    kind = "card wide" if exhibit.film.width > WIDE else "card"
    return f"""<article class="{kind}" id="scene-{name}" data-search="{escape(search)}">
{_player(exhibit, "")}
<div class="words">
<h3 id="title-{name}"><a href="scenes/{name}.html">{escape(exhibit.title)}</a></h3>
<p>{escape(exhibit.text)}</p>
<details>
<summary>Parameters and code</summary>
{_facts(exhibit, pictures, "")}
</details>
</div>
</article>
"""


def _scene(exhibit: Exhibit, group: int, before: Exhibit | None, after: Exhibit | None, pictures: Sequence[str]) -> str:
    turns = "\n".join(
        f'<a class="{kind}" rel="{kind}" href="{other.name}.html"><span>{word}</span> {escape(other.title)}</a>'
        for kind, word, other in (("prev", "Previous", before), ("next", "Next", after))
        if other
    )
    return _document(
        f"{exhibit.title} · convarith",
        "scene",
        "../",
        f"""<header class="topline">
<nav aria-label="Breadcrumb"><ol class="path">
<li><a href="../index.html">Gallery</a></li>
<li><a href="../index.html#group-{group}">{escape(exhibit.group)}</a></li>
</ol></nav>
{_THEME}
</header>
<main>
<h1 id="title-{exhibit.name}">{escape(exhibit.title)}</h1>
<p class="lead">{escape(exhibit.text)}</p>
{_player(exhibit, "../", linked=True)}
{_facts(exhibit, pictures, "../")}
<nav class="turns" aria-label="Other scenes">
{turns}
</nav>
</main>""",
    )


def _player(exhibit: Exhibit, root: str, linked: bool = False) -> str:
    """The stage of a film and its controls, which gallery.js connects. `linked` marks the film the page is about."""
    name, film = exhibit.name, exhibit.film
    count = len(film.frames)
    return f"""<figure class="player" role="group" aria-labelledby="title-{name}" data-name="{name}"
 data-film="{root}assets/films/{name}.js"{" data-linked" if linked else ""}>
<div class="stage" style="--film-width: {film.width}; --film-height: {film.height}">
<noscript><p>{escape(film.alt)} (JavaScript is needed to see the picture.)</p></noscript>
</div>
<figcaption>
<div class="controls">
{_button("back", "Step back", "←", "M18 5v14L8 12zM6 5v14")}
{_button("play", "Play", "space", "M7 4.5v15l12-7.5z", "M8 5v14M16 5v14")}
{_button("forward", "Step forward", "→", "M6 5v14l10-7zM18 5v14")}
<input class="scrub" type="range" min="1" max="{count}" value="1" aria-label="Step" disabled>
<span class="counter">step 1 of {count}</span>
{_SPEED_AND_LOOP if linked else ""}
</div>
<p class="caption">{escape(film.captions[0])}</p>
{_KEYS if linked else ""}
</figcaption>
</figure>"""


def _button(kind: str, label: str, key: str, *icons: str) -> str:
    drawn = "".join(f'<svg viewBox="0 0 24 24" aria-hidden="true"><path d="{icon}"/></svg>' for icon in icons)
    return (
        f'<button class="{kind}" type="button" aria-label="{label}" title="{label} ({key})" disabled>{drawn}</button>'
    )


def _facts(exhibit: Exhibit, pictures: Sequence[str], root: str) -> str:
    """The parameters, the code and the downloads."""
    rows = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in exhibit.parameters
    )
    links = "\n".join(
        f'<li><a href="{root}{quote(picture)}" download>{escape(Path(picture).suffix[1:].upper() or picture)}</a></li>'
        for picture in pictures
    )
    downloads = f'<div class="downloads"><p class="label">Download</p>\n<ul>\n{links}\n</ul></div>' if pictures else ""
    return f"""<div class="facts">
<table>
<caption>Parameters</caption>
<tbody>
{rows}
</tbody>
</table>
<div class="code">
{_snippet("Code", exhibit.call)}
{_snippet("Command", exhibit.command)}
{downloads}
</div>
</div>"""


def _snippet(title: str, code: str) -> str:
    return f"""<div class="snippet"><p class="label">{title}</p>
<button class="copy plain" type="button" aria-label="Copy the {title.lower()}">Copy</button>
<pre><code>{escape(code)}</code></pre></div>"""


_SPEED_AND_LOOP = """<label class="setting">Speed <select data-setting="speed">
<option value="0.25">¼ ×</option><option value="0.5">½ ×</option><option value="1" selected>1 ×</option>
<option value="2">2 ×</option><option value="4">4 ×</option>
</select></label>
<label class="setting"><input type="checkbox" data-setting="loop" checked> Loop</label>"""

_KEYS = """<p class="keys">Press <kbd>space</kbd> to play or pause, <kbd>←</kbd> or <kbd>→</kbd> to step, \
and <kbd>Home</kbd> or <kbd>End</kbd> to go to the first or the last step.</p>"""

_THEME = """<label class="setting">Theme <select data-setting="theme">
<option value="auto" selected>Auto</option><option value="light">Light</option><option value="dark">Dark</option>
</select></label>"""
