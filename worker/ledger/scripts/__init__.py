"""The Lua scripts, one per file. `worker.ledger.script_loader` reads them."""
