"""What each step of a picture shows: one pure function per view. Nothing is drawn here.

Imports only convarith. `story` has the data that a view returns, `reads` the inputs that every output of a layer reads,
`subject` a layer with its numbers. Then there is one file per view, each with a function `tell`.
"""
