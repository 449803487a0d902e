"""The ports of `worker.jobs.ports.context` over the ledger: the lease token is in every write, and a stale one raises LostLease."""
