"""From a story to pixels or vectors. Nothing here knows a convolution.

`layout` puts a story on a stage, `frame` adds title and captions: a `film`, which is boxes, lines and what changes.
`raster` and `svg` draw a film with the numbers of `outline` and the colours of `theme`, `encoding` writes the file.
`hourglass` is the one film that shows a whole network.
"""
