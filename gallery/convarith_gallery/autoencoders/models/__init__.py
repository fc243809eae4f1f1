"""The networks that are trained: `autoencoder` for most recipes, and one file per network of its own."""
