"""From a story to an animated picture file.

A view's story is laid out as a film (boxes, lines, and what changes from frame to frame), and the film is drawn as
pixels or as vectors. The modules import convarith's errors and small helpers, `views.story` and `atomic_file`; only
`hourglass`, which draws a whole network, knows what a layer is. Pillow is imported when a film is drawn as pixels.

Read in this order:

- `film`: the boxes, the lines and the changes that everything else passes on;
- `layout`, then `frame`: from a story to a film, and the title, captions and formula around it;
- `hourglass`: a film of a network's shapes;
- `theme` and `outline`: the colours, and the exact geometry that both ways of drawing share;
- `raster` and `svg`: the two ways of drawing a film;
- `encoding`: the entry point, `save`, and one writer per file format.
"""
