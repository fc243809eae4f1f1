"""The networks that are trained.

`build` makes the model that a recipe's settings describe. It is either an `Autoencoder`, which reproduces its input
from a code, or a `Restorer`, which undoes a corruption or classifies pixels with one of the networks in `unet`, `edsr`
and `segnet` or with a mirrored encoder. Read `autoencoder` first, then `restorers`.

This folder may import `datasets`, `recipe` and `seeds` from the suite.
"""
