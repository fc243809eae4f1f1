"""What is measured on trained models, and the pictures that show it.

A recipe names its evaluations; `registry` maps the names to functions. Each function gets an `EvaluationContext` with
the trained variants and the data, and adds numbers and pictures to it. Read `context` first, then `reconstruction` as
an example; `baselines`, `batches` and `sample_quality` are the measures that several evaluations share.

This folder may import every other folder of the suite. Only `run` imports it.
"""
