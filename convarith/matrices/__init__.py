"""The matrix of a linear layer, and what follows from it. Every function imports numpy and scipy when it is called.

Imports layers and sizes. Read in this order: `axis_reads` (what an output reads, as arrays), `matrix` (the sparse
matrix), `operators` (the matrix applied without being built, its transpose as a layer), `spectrum` (singular values).
"""
