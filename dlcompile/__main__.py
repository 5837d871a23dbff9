"""`python -m dlcompile`: the command line."""
from dlcompile.cli import main

if __name__ == "__main__":
    main(prog_name="dlcompile")
