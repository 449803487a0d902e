"""The command line: `didflow`."""


def main() -> None:
    """The entry point. What is imported here is imported by every `didflow --help`."""
    from producers.cli.app import app

    app(prog_name="didflow")
