"""Networks of layers: their shapes, their size function for every input, and their receptive fields.

Imports layers and sizes. Read in this order: `network` (nodes and shapes), `open_sizes` (the same with symbolic sizes),
`receptive_field` (what an output sees along one axis), `trace` (one row per layer), `parser` (text to a network).
"""
