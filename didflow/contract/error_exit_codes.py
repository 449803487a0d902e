"""Which exit code goes with which error."""

from didflow.contract.errors import (
    DidflowError,
    IdempotencyConflict,
    LoginRefused,
    LookFailed,
    ServiceUnavailable,
    UnsafeRedis,
    WaitTimeout,
)
from didflow.contract.exit_codes import ExitCode


def exit_code(error: DidflowError) -> ExitCode:
    """The exit code that goes with an error."""
    match error:
        case WaitTimeout():
            return ExitCode.TIMEOUT
        case LookFailed():
            return ExitCode.JOB
        case IdempotencyConflict():
            return ExitCode.CONFLICT
        case LoginRefused():
            return ExitCode.INPUT
        case ServiceUnavailable() | UnsafeRedis():
            return ExitCode.UNREACHABLE
    return ExitCode.INPUT
