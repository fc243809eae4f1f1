"""The layers: everything that is specific to one layer is in its class.

A class holds the layer's size rule, the inputs it rejects, its parameters and multiply-accumulates, which inputs an
output reads, what it does to symbolic sizes, and the layers that invert it. A new layer is one class, one line in
`registry`, and its tests. Imports sizes and the errors. Read `base` first, then `window` and `convolution`; `reads`
describes what an output reads along one axis, `ways_back` what leads back from an output to its input; `registry` and
`parser` find a layer by its name or its text.
"""
