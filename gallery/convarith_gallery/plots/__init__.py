"""Still figures of matplotlib: `matrix` and `overlap`, with what both share in `figure`."""
