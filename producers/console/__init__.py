"""The console: pages for people, on the same client and the same scopes as the HTTP API.

    app.py       the application that `didflow serve` mounts at /console
    visit.py     who asks, what it may do, and the pages that it gets
    door.py      log in, log out, appearance
    screens/     a module for each screen: its routes
    templates/   a template for each screen, and the macros that they share
    static/      one style sheet, one script, and what is vendored

Nothing is possible here that isn't in the API: a screen calls `AsyncDidflow`, and `Caller.need` decides.

A new screen is a module in `screens` (with `SCREEN` and its routes), a line in `screens/__init__.py`, a template, and a test.
docs/console.md shows the shortest one.
"""
