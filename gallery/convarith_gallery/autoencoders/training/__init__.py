"""The training of a model.

`loop` has the loop and `losses` what it minimises; `checkpoints` makes it possible to resume an interrupted training,
`saved_model` writes and reads the result, and `devices` knows what the hardware can do. Read `loop` first.

This folder may import `datasets`, `models`, `recipe`, `seeds` and `output_files` from the suite.
"""
