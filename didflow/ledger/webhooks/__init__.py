"""Webhooks in the ledger: endpoints, the queue of each, and the log of its deliveries."""
