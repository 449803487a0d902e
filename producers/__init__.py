"""The ways into the queue, one module for each group of users, and the command line in `producers.cli`."""
