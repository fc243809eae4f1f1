"""Pictures for reports: grids of images, animations of grids, curves, histograms and maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from convarith_gallery.autoencoders.output_files import write_whole
from convarith_gallery.plots.figure import as_bytes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Panel = Callable[[Axes], None]

INK, PAPER = 20, 255
SCALE, GAP = 2, 2
LABEL_SIZE = 14


def grid(rows: Sequence[tuple[str, Tensor]], columns: int = 12, negative: bool = True) -> Image.Image:
    """Labelled rows of images (N, 1 or 3, H, W) from 0 to 1; rows are broken after `columns` images.

    All images are shown in the size of the first row. Grey images are shown with 1 as black if `negative`.

    >>> grid([("originals", torch.zeros(24, 1, 28, 28)), ("restored", torch.ones(24, 1, 28, 28))]).size
    (698, 278)
    """
    font = ImageFont.load_default(LABEL_SIZE)
    lines: list[tuple[str, Tensor | None]] = []
    for label, images in rows:
        lines.append((label, None))
        lines += [("", part) for part in torch.split(images, columns)]
    height, width = rows[0][1].shape[-2] * SCALE, rows[0][1].shape[-1] * SCALE
    longest = max(len(part) for _, part in lines if part is not None)
    heights = [LABEL_SIZE + 8 if part is None else height + GAP for _, part in lines]
    colour = rows[0][1].shape[1] == 3
    canvas = Image.new(
        "RGB" if colour else "L",
        (longest * (width + GAP) + GAP, sum(heights) + GAP),
        PAPER if not colour else (PAPER,) * 3,
    )
    draw = ImageDraw.Draw(canvas)
    top = GAP
    for (label, part), tall in zip(lines, heights, strict=True):
        if part is None:
            draw.text((GAP, top + 2), label, fill=(INK,) * 3 if colour else INK, font=font)
        else:
            light = part.float().clamp(0, 1)
            pixels = (255 * (1 - light if negative else light)).round().byte().permute(0, 2, 3, 1).cpu().numpy()
            for at, image in enumerate(pixels):
                tile = Image.fromarray(image if colour else image[..., 0]).resize(
                    (width, height), Image.Resampling.NEAREST
                )
                canvas.paste(tile, (GAP + at * (width + GAP), top))
        top += tall
    return canvas


def save(path: Path, picture: Image.Image) -> None:
    """Write a picture as PNG."""
    content = BytesIO()
    picture.save(content, "PNG", optimize=True)
    write_whole(path, content.getvalue())


def save_animation(path: Path, frames: Sequence[Image.Image], milliseconds: int = 400) -> None:
    """Write pictures of the same size as a GIF that repeats, with a pause on its last frame."""
    content = BytesIO()
    durations = [*[milliseconds] * (len(frames) - 1), 4 * milliseconds]
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    write_whole(path, content.getvalue())


def curves(path: Path, lines: Mapping[str, Sequence[float]], label: str) -> None:
    """A line for each name, with one point per epoch, on a logarithmic scale."""

    from matplotlib.ticker import LogFormatter, MaxNLocator

    def draw(axes: Axes) -> None:
        for name, values in lines.items():
            axes.plot(range(1, len(values) + 1), values, marker="." if len(values) <= 50 else "", label=name)
        axes.set(xlabel="epoch", ylabel=label, yscale="log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.yaxis.set(major_formatter=LogFormatter(), minor_formatter=LogFormatter())  # 600, not 6 x 10^2
        if len(lines) > 1:
            axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False)

    _figure(path, [draw])


def histograms(path: Path, panels: Mapping[str, Tensor]) -> None:
    """A histogram of the values (N,) of each name, with the density of N(0, 1) over it."""

    def panel(name: str, values: Tensor) -> Panel:
        def draw(axes: Axes) -> None:
            axes.hist(values.cpu().numpy(), bins=60, density=True, alpha=0.6)
            at = np.linspace(-4, 4, 200)
            axes.plot(at, np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi), color="black", label="N(0, 1)")
            axes.set(title=name)
            axes.legend()

        return draw

    _figure(path, [panel(name, values) for name, values in panels.items()])


def scatter(path: Path, panels: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """The points (N, 2) of each name, coloured by their labels (N,)."""

    def panel(name: str, points: Tensor, labels: Tensor) -> Panel:
        def draw(axes: Axes) -> None:
            x, y = points.cpu().numpy().T
            drawn = axes.scatter(x, y, c=labels.cpu().numpy(), cmap="tab10", s=4, vmin=-0.5, vmax=9.5)
            axes.set(title=name, aspect="equal", adjustable="datalim")
            axes.figure.colorbar(drawn, ax=axes, ticks=range(10))

        return draw

    _figure(path, [panel(name, *content) for name, content in panels.items()])


def arrows(path: Path, points: Tensor, panels: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """Arrows from places (N, 2) to others (N, 2) for each name, over the points (M, 2)."""

    def panel(name: str, start: Tensor, end: Tensor) -> Panel:
        def draw(axes: Axes) -> None:
            axes.scatter(points[:, 0].cpu(), points[:, 1].cpu(), s=2, color="silver")
            (x, y), (right, up) = start.cpu().numpy().T, (end - start).cpu().numpy().T
            axes.quiver(x, y, right, up, angles="xy", scale_units="xy", scale=1, width=0.003)
            axes.set(title=name, aspect="equal")

        return draw

    _figure(path, [panel(name, *content) for name, content in panels.items()])


def _figure(path: Path, panels: Sequence[Panel]) -> None:
    """Draw panels side by side."""
    figure = new_figure(5.5 * len(panels), 4)
    for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes)
    write_whole(path, as_bytes(figure, "png"))
