"""Where the ledger is: DIDFLOW_REDIS_URL, or the embedded Valkey of this user."""

from pathlib import Path

from didflow.contract.errors import ServiceUnavailable
from didflow.settings import Settings

#: The embedded server writes its URL here while it runs, and removes it when it stops.
ADDRESS_FILE = "valkey.url"


def address_file(state_dir: Path) -> Path:
    return state_dir / ADDRESS_FILE


def redis_url(settings: Settings) -> str:
    """The URL to connect to. Raises ServiceUnavailable if none is set and no embedded server runs."""
    if settings.redis_url:
        return settings.redis_url.get_secret_value()
    try:
        return address_file(settings.state_dir).read_text().strip()
    except (OSError, ValueError):
        raise ServiceUnavailable(
            "DIDFLOW_REDIS_URL is not set and no embedded Valkey is running: start one with `didflow up`, or set DIDFLOW_REDIS_URL"
        ) from None
