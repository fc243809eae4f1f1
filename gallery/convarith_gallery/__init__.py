"""Everything convarith draws and trains: animated pictures, plots, the gallery page and the reference autoencoders.

This package imports convarith, and convarith_cli imports this package. To follow a picture from start to end, read:

- `scenes` (with scenes.toml): the named pictures, as data;
- `views`: what each step of a picture shows;
- `render`: which view shows which layer or network;
- `drawing`: from a view's story to a film, and from a film to a file;
- `page`: the HTML gallery that plays the films.

`plots` draws the still figures of `convarith matrix` and `convarith overlap`, `atomic_file` writes files so that they
are never left half written, and `autoencoders` is a package of its own that uses only `plots` and `atomic_file`.
"""
