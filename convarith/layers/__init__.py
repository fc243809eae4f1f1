"""The layers: everything that is true of one layer stands in its class.

A class holds the layer's size rule, what it refuses, its parameters and multiply-accumulates, which inputs an output
reads, what it does to sizes that are still open, and the layers that lead back. A new layer is one class, one line in
`registry`, and its tests. Imports sizes and the errors. Read `base` first, then `window` and `convolution`; `reads`
says what an output reads along one axis; `registry` and `parser` go from a name or a text to a layer.
"""
