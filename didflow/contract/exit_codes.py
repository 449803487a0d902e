"""Every exit code of every command, defined here and nowhere else. `MEANINGS` is the table that the documentation shows."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0  #: what was asked is done, submitted or shown; a job that was submitted before counts
    JOB = 1  #: the job failed, or is partial, cancelled, expired or parked; or a check has findings
    INPUT = 2  #: bad input or settings; every fault is named. Nothing was done
    TIMEOUT = 3  #: the time to wait is over; the job continues
    CONFLICT = 4  #: the key, the incident or the customer has a job that requested something else
    UNREACHABLE = 5  #: Redis or the provider can't be reached, or Redis is unsafe: repeat the command later
    NOTHING_DONE = 6  #: nothing was changed: the question was answered with no, it was too late, or there was nothing to change
    STUCK = 70  #: a worker process ended itself because it was stuck; its supervisor starts another
    NOT_YET = 75  #: a worker process can't reach Redis; its supervisor starts another later
    MISCONFIGURED = 78  #: a worker process can't run with these settings; its supervisor ends
    INTERRUPTED = 130  #: Ctrl-C; a job that was submitted continues


MEANINGS = {
    ExitCode.DONE: "done, or submitted",
    ExitCode.JOB: "the job failed or is partial, cancelled, expired or parked; a check has findings",
    ExitCode.INPUT: "bad input or settings",
    ExitCode.TIMEOUT: "timed out waiting; the job continues",
    ExitCode.CONFLICT: "conflict with another request",
    ExitCode.UNREACHABLE: "a service is not reachable, or Redis is unsafe",
    ExitCode.NOTHING_DONE: "nothing was changed: declined, too late, or nothing to change",
    ExitCode.STUCK: "worker process: stuck",
    ExitCode.NOT_YET: "worker process: Redis is not reachable",
    ExitCode.MISCONFIGURED: "worker process: wrong settings",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}
