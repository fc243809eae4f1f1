"""Still figures, drawn with matplotlib: the `--plot` of `convarith matrix` and `convarith overlap`.

The modules import convarith and, when a figure is drawn, numpy and matplotlib. Read `figure` first (file formats, and
the error if matplotlib is missing), then `matrix` and `overlap`, which are independent of each other.
"""
