"""`python -m tagdistill` is `tagdistill`."""

from tagdistill.cli.main import main

main()
