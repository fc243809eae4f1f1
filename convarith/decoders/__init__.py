"""The decoder that mirrors an encoder.

Imports layers, networks, checkerboards and sizes. Read in this order: `encoder_stages` (an encoder cut into steps),
`inverses` (the way back through one step), `plan` (the steps as data), `decoder` (networks, shapes and a report),
`mirror` (the function that users call), `generated_code` (PyTorch code), `trial_run` (that code run once).
"""
