"""How often each position is hit, and the checkerboards that uneven counts leave.

Imports layers, networks, sizes and pytorch (for the weights of a module). Read in this order: `axis` (one layer along
one axis), `stack` (layers one behind the other), `pools`, `from_network` (which layers of a network are followed),
`overlap` (the answer), `repairs` (even layers of the same size), `artefacts` (real weights).
"""
