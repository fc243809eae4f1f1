"""Exact integers: what a size is, what one layer does to it, and sets of sizes. Nothing here depends on layers.

Imports only the errors. Read in this order: `normalise` (converts what users write to integers), `rules` (the size
function of one layer along one axis), `sets` (sets such as "H = 4 (mod 8), H >= 28"), `size_map` (chains of rules: the
size function of a whole network along one axis), `letters` (the sizes of axes that are not fixed: letters, their
products, and the conditions on them).
"""
