"""A trained restorer, applied to pictures of any size.

`picture_files` reads and writes pictures (`png16` those with 16 bits per channel), `tiling` splits them into pieces
that overlap by the receptive field, and `restoring` combines the two with a trained model. Read `tiling` first.

This folder may import `models` and `training` from the suite.
"""
