"""The log line of a consumer that waits for Redis."""

import logging

from didflow.contract.errors import ServiceUnavailable

log = logging.getLogger("didflow.results")


def log_away(error: ServiceUnavailable, again_s: float) -> None:
    """Log that Redis is unavailable. Uses the standard library's logging: a producer need not configure didflow's."""
    log.warning("Redis is away, next try in %g s: %s", again_s, error)
