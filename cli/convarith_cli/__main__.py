"""`python -m convarith_cli` is `convarith`."""

from convarith_cli.main import main

main()
