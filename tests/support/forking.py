"""A process that has loaded the code, from which tests fork others: no interpreter to start, nothing to import again."""

import multiprocessing

#: One forkserver for each process that runs tests, begun when it is first asked.
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(
    ["tests.support.shell", "tests.support.forked_stack", "tests.campaign.fleet", "tests.support.webhook_process"]
)
