"""The client for asyncio. It is the source of `didflow.client.sync`, which `make generate` writes from these files.

A file is one part of what a client can do, and has the shape of `documents.py`: a small class that is given the client, uses
`client.ledger` and `client.ledger.commands`, and shares its commands with the other form of the client in a module outside of both
(`didflow/client/document_jobs.py`). To add a part:

1. Write the commands (generators of Redis commands, without I/O) in a module of `didflow/client` or `didflow/ledger`.
2. Write the class in a file of its own here, `AsyncCatalogue` in `catalogue.py`, with the docstrings that users read.
3. Add a property for it to `AsyncDidflow` in `client.py`, and both classes to `didflow/__init__.py`.
4. Run `make generate`, and commit what it writes.
"""
