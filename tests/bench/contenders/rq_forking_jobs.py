"""RQ with its default Worker, which its documentation recommends for production: a forked process for each job."""

from tests.bench.contenders import rq_jobs


class Contender(rq_jobs.Contender):
    worker_class = "rq.worker.Worker"
