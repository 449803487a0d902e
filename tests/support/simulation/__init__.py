"""Real jobs on a real ledger and the sandbox's own service, in one process, where the test alone decides what happens next."""
