"""Which exit code goes with which error."""

from didflow.contract.errors import (
    AlreadyDecided,
    DidflowError,
    IdempotencyConflict,
    LoginRefused,
    LookFailed,
    SecondPersonNeeded,
    ServiceUnavailable,
    SweepFailed,
    UnsafeRedis,
    WaitTimeout,
)
from didflow.contract.exit_codes import ExitCode


def exit_code(error: DidflowError) -> ExitCode:
    """The exit code that goes with an error."""
    match error:
        case WaitTimeout():
            return ExitCode.TIMEOUT
        case LookFailed() | SweepFailed() | SecondPersonNeeded():
            return ExitCode.JOB
        case IdempotencyConflict() | AlreadyDecided():
            return ExitCode.CONFLICT
        case LoginRefused():
            return ExitCode.INPUT
        case ServiceUnavailable() | UnsafeRedis():
            return ExitCode.UNREACHABLE
    return ExitCode.INPUT
