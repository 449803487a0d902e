"""`didflow` against the servers of a cluster."""

from pathlib import Path

from tests.support.cluster import NAMESPACE
from tests.support.shell import Shell
from worker.local.stack import LocalStack
from worker.wavix.sandbox.options import SANDBOX_KEY


def shell_of(stack: LocalStack, folder: Path, **more: str) -> Shell:
    environment = {"DIDFLOW_REDIS_URL": stack.redis_url or "", "DIDFLOW_NAMESPACE": NAMESPACE} | more
    return Shell(folder, environment | {"WAVIX_API_KEY": SANDBOX_KEY, "WAVIX_BASE_URL": stack.sandbox_url or ""})
