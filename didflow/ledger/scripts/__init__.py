"""The Lua scripts, one per file. `didflow.ledger.script_loader` reads them."""
