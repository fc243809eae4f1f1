"""Exact integers: what a size is, what one layer does to it, and sets of sizes. Nothing here knows a layer.

Imports only the errors. Read in this order: `normalise` (what users write becomes integers), `rules` (one layer's
size function along one axis), `sets` (sets such as "H = 4 (mod 8), H >= 28"), `size_map` (chains of rules: the size
function of a whole network along one axis).
"""
