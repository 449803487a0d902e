"""A Wavix on loopback: both dialects, stock, cart, money, and faults on demand. For the demo, for tests, and for users."""

from worker.wavix.sandbox.admin import SandboxAdmin
from worker.wavix.sandbox.faults import Fault
from worker.wavix.sandbox.options import SandboxOptions
from worker.wavix.sandbox.server import Sandbox

__all__ = ["Fault", "Sandbox", "SandboxAdmin", "SandboxOptions"]
