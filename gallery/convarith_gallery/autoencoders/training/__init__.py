"""Training: the `loop`, its `losses`, `checkpoints` and `devices`, and greedy `pretraining`."""
