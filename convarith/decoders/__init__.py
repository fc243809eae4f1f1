"""The decoder that mirrors an encoder.

Imports layers, networks, checkerboards and sizes. Read in this order: `encoder_stages` (dividing an encoder into
stages), `inverses` (the layers that undo one stage), `plan` (the steps of a decoder as data), `decoder` (its networks,
shapes and report), `mirror` (the public function), `generated_code` (PyTorch code), `trial_run` (running that code).
"""
