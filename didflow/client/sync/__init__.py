"""The synchronous client, for threads. `make generate` writes it from `didflow.client.aio`, which says how to add a part."""
