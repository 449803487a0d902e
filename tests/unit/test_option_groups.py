"""A group of options: typer shows them one by one, in the group's place, and the command gets them as one value."""

from typing import Annotated

import typer
from typer.testing import CliRunner

from producers.cli.option_groups import Guards, Labels, Selected, grouped


def test_a_group_stands_for_its_options_in_its_place_and_keeps_their_defaults() -> None:
    app, got = typer.Typer(), list[tuple[str, Selected, Guards, Labels]]()

    @app.command()
    @grouped
    def move(name: Annotated[str, typer.Argument()], *, selected: Selected, last: bool = False, guards: Guards, labels: Labels) -> None:
        """Move them."""
        got.append((name, selected, guards, labels))

    reported = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "300", "TERM": "dumb"}).output
    places = [reported.index(option) for option in ("Move them.", "--from-trunk", "--all", "--last", "--canary", "--key", "--timeout")]
    assert places == sorted(places)
    assert CliRunner().invoke(app, ["evening", "--canary", "3", "--from-trunk", "144", "--key", "k", "-w"]).exit_code == 0
    assert got == [("evening", Selected(from_trunk=144), Guards(canary=3), Labels(key="k", wait=True))]
    assert CliRunner().invoke(app, ["evening", "--canary", "many"]).exit_code == 2


def test_a_selector_is_none_unless_an_option_names_one() -> None:
    assert Selected().selector() is None
    none = {"trunk_id": None, "destination": None, "label": None, "country": None, "city": None}
    assert Selected(label="vip").selector() == none | {"label": "vip", "all": False}
    assert Selected(everything=True).selector() == none | {"all": True}
