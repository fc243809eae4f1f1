"""`python -m convarith_cli` runs `convarith`."""

from convarith_cli.main import main

main()
