"""What each step of a picture shows: one pure function per view, which draws nothing.

Imports convarith alone. `story` is what a view returns, `reads` what every output of a layer reads, `subject` the
layer with its numbers; then one file per view, each with a function `tell`.
"""
