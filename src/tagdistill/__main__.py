"""`python -m tagdistill` is `tagdistill`."""

from tagdistill.cli import main

main()
