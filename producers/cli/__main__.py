"""`python -m producers.cli`."""

from producers.cli import main

if __name__ == "__main__":
    main()
