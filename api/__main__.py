"""`python -m api` is `ristourne`."""

from api.cli import main

main(prog_name="ristourne")
