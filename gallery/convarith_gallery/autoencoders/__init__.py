"""The reference autoencoders: recipes that train on real data, measure, draw and report.

Nothing heavy is loaded here. A recipe is a TOML file (`recipe.py`); `running.py` trains what it names and writes the
run folder; `results.py` gathers folders into the one table.
"""
