"""`python -m fastnn`: the command line."""

from fastnn.cli import main

if __name__ == "__main__":
    main(prog_name="python -m fastnn")
