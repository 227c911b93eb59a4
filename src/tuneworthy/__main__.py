"""Run the command line: `python -m tuneworthy`."""

from tuneworthy.cli import main

if __name__ == "__main__":
    main()
