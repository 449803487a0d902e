"""`didflow` against the ledger and the sandbox of an inline worker."""

from pathlib import Path

from tests.support.inline_worker import InlineWorker
from tests.support.shell import Shell
from worker.wavix.sandbox.options import SANDBOX_KEY


def shell_of(inline: InlineWorker, url: str, folder: Path) -> Shell:
    environment = {"DIDFLOW_REDIS_URL": url, "DIDFLOW_NAMESPACE": inline.settings.namespace}
    return Shell(folder, environment | {"WAVIX_API_KEY": SANDBOX_KEY, "WAVIX_BASE_URL": inline.sandbox.url})
