"""The data that recipes train on: read from files, shipped by a library, or generated."""
