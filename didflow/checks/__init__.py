"""Checks of a running installation, which ask no provider: `didflow doctor` prints them, and `GET /v1/checks` answers with them."""
