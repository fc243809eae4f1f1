"""What a training leaves for people to read.

`results` has the numbers as data, `pictures` draws grids, curves and maps, and `pages` writes HTML reports.

This folder may import `output_files` from the suite.
"""
