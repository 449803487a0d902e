"""The ports of jobs, as small protocols: a job module declares those that it uses, and runs on any implementation."""
