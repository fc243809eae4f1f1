"""The data sets of the recipes.

`dataset` has the type they all share. Each other module makes one kind: `idx_files` reads MNIST and Fashion-MNIST,
`digits` and `natural` use the pictures that scikit-learn and scikit-image ship, and `clouds`, `speech` and `variants`
generate their items. `corruptions` spoils images for networks to restore, `download` is the only module that uses the
network, and `load` chooses the data set that a recipe or a user asks for. Read `dataset` and `load` first.

This folder imports no other folder of the suite.
"""
