"""How often each position is hit, and the checkerboards that uneven counts cause.

Imports layers, networks, sizes and pytorch (for the weights of a module). Read in this order: `axis` (one layer along
one axis), `stack` (a sequence of layers), `pools`, `grid` (the counts where the axes do not separate), `from_network`
(which layers of a network are analysed), `overlap` (the public function and its result), `repairs` (even layers with
the same sizes), `artefacts` (given weights).
"""
