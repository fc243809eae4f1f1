"""The matrix of a linear layer, and what follows from it. The functions import numpy and scipy when they are called.

This folder builds on sizes and layers. Read it in this order: `axis_reads` (which inputs an output reads, as arrays),
`counting` (how many entries there are, in closed form), `matrix` (the sparse matrix), `operators` (the matrix applied
without being built, its transpose as a layer), `absolute_sums` (the largest row and column sums), `spectrum` (singular
values).
"""
