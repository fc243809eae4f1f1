"""The reference autoencoders: recipes that train on real data, and the reports on what they reach.

`recipe` reads a recipe, a TOML file from `recipes/`; `run` trains its variants, evaluates them and writes the files.
The folders build on each other in this order: `datasets`, `models`, `training`, `restore`, `reporting`, `evaluation`.
Read `recipe` and `run` first.

The suite may import the core and the drawing folders of the gallery. Importing this package loads nothing heavy.
"""
