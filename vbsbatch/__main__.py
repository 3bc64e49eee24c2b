"""`python -m vbsbatch` is the console script."""

from vbsbatch.cli import main

if __name__ == "__main__":
    main()
