"""The keys that Python reads. The scripts' part `include/keys.lua` lists them all."""

from dataclasses import dataclass

from didflow.contract.states import JobState


@dataclass(frozen=True)
class Keys:
    """Names under one namespace. On a Redis Cluster give the namespace a hash tag (``{didflow}``), so that all share a slot."""

    namespace: str

    def job(self, job_id: str) -> str:
        return f"{self.namespace}:job:{job_id}"

    def numbers(self, job_id: str) -> str:
        return f"{self.job(job_id)}:numbers"

    def pages(self, job_id: str) -> str:
        return f"{self.job(job_id)}:pages"

    def rows(self, job_id: str) -> str:
        return f"{self.job(job_id)}:rows"

    def outcomes(self, job_id: str) -> str:
        return f"{self.job(job_id)}:outcomes"

    def children(self, job_id: str) -> str:
        return f"{self.job(job_id)}:children"

    def steps(self, job_id: str) -> str:
        return f"{self.job(job_id)}:steps"

    def state(self, state: JobState) -> str:
        return f"{self.namespace}:state:{state.value}"

    def reference(self, reference: str) -> str:
        return f"{self.namespace}:refs:{reference}"

    @property
    def incidents(self) -> str:
        """zset: incident by when its first job was submitted, ms."""
        return f"{self.namespace}:incidents"

    @property
    def incidents_listed(self) -> str:
        """Text: ``1`` once the jobs are listed that were submitted before incidents were."""
        return f"{self.incidents}:listed"

    def incident(self, name: str) -> str:
        """zset: the incident's jobs by time of submit, ms."""
        return f"{self.namespace}:incident:{name}"

    @property
    def idempotency(self) -> str:
        return f"{self.namespace}:keys"

    @property
    def results(self) -> str:
        return f"{self.namespace}:results"

    @property
    def events(self) -> str:
        return f"{self.namespace}:events"

    @property
    def workers(self) -> str:
        """zset: worker process by when it was last alive, ms."""
        return f"{self.namespace}:workers"

    def oldest_call(self, worker: str) -> str:
        """Text, for seconds: the age of the oldest call to the provider that this process has under way, ms."""
        return f"{self.namespace}:call:{worker}"

    @property
    def metrics_ended(self) -> str:
        """Hash: counts of ended jobs, see `didflow.contract.metric_counts`."""
        return f"{self.namespace}:metrics:ended"

    @property
    def metrics_calls(self) -> str:
        """Hash: counts of requests to the provider, see `didflow.contract.metric_counts`."""
        return f"{self.namespace}:metrics:calls"

    def running(self, worker: str) -> str:
        """JSON, for a minute: what this process runs with, see `didflow.ledger.worker_settings`."""
        return f"{self.namespace}:running:{worker}"

    @property
    def leases(self) -> str:
        """zset: job that a worker runs, by when its lease ends, ms."""
        return f"{self.namespace}:leases"

    @property
    def vouch_acked(self) -> str:
        """Hash: worker process -> how many of its counted writes it said to know of."""
        return f"{self.namespace}:vouch:acked"

    @property
    def poison(self) -> str:
        """Stream: results that no consumer of a group could process."""
        return f"{self.namespace}:results:poison"

    @property
    def requests(self) -> str:
        """Stream: business events of other systems, on which we act."""
        return f"{self.namespace}:requests"

    @property
    def dead_requests(self) -> str:
        """Stream: those that we couldn't act on, and why."""
        return f"{self.namespace}:requests:dead"

    @property
    def broker(self) -> str:
        """Dramatiq's own namespace, inside ours."""
        return f"{self.namespace}:queue"

    @property
    def undecodable(self) -> str:
        """List: messages on the queues that aren't ours, newest first."""
        return f"{self.namespace}:queue:undecodable"

    def reserved(self, account: str) -> str:
        return f"{self.namespace}:reserved:{account}"

    def handed_out(self, account: str) -> str:
        """Hash: number of the pool -> who has it."""
        return f"{self.namespace}:handed_out:{account}"

    def offered(self, account: str) -> str:
        """Hash: number that is parked and may be assigned -> the release that has it."""
        return f"{self.namespace}:offered:{account}"

    def going(self, account: str) -> str:
        """Hash: number -> the release that is about to give it back, or has begun to."""
        return f"{self.namespace}:going:{account}"

    def parked(self, account: str) -> str:
        """Hash: number -> the release that parks it, and its ways; see `didflow.ledger.parked_numbers`."""
        return f"{self.namespace}:parked:{account}"

    def stock_note(self, account: str, place: str) -> str:
        """What a job saw of the stock there."""
        return f"{self.namespace}:stock:{account}:{place}"

    def strays(self, account: str) -> str:
        return f"{self.namespace}:strays:{account}"

    def account(self, account: str) -> str:
        return f"{self.namespace}:account:{account}"

    def learned(self, account: str) -> str:
        """Hash: what the account's server was seen to take, see `didflow.ledger.observed_behaviour`."""
        return f"{self.namespace}:learned:{account}"

    @property
    def paused(self) -> str:
        """Set: accounts that are paused."""
        return f"{self.namespace}:accounts:paused"

    @property
    def frozen(self) -> str:
        """Hash: account ('' = all) -> the freeze of its purchases and releases, see `didflow.ledger.freezes`."""
        return f"{self.namespace}:frozen"

    @property
    def frozen_held(self) -> str:
        """zset: jobs that wait until a freeze is lifted."""
        return f"{self.frozen}:held"

    def provider(self, account: str) -> str:
        """Hash: to which provider account the jobs of this one belong, see `didflow.ledger.provider_identity`."""
        return f"{self.namespace}:provider:{account}"

    @property
    def history_gone(self) -> str:
        """zset: number that isn't ours any more, by when it went, ms."""
        return f"{self.history}:gone"

    def dialect(self, account: str) -> str:
        """Hash: which dialect the account's server takes."""
        return f"{self.namespace}:dialect:{account}"

    def rate(self, account: str) -> str:
        return f"{self.namespace}:rate:{account}"

    def routes(self, account: str) -> str:
        return f"{self.namespace}:routes:{account}"

    def plan(self, name: str) -> str:
        return f"{self.namespace}:plan:{name}"

    @property
    def plans(self) -> str:
        """zset: failover plan by the time of its next refresh, ms."""
        return f"{self.namespace}:plans"

    @property
    def plans_open(self) -> str:
        """Hash: dry run that determines a plan's numbers -> the plan and its version."""
        return f"{self.namespace}:plans:open"

    def catalogue_looks(self, account: str) -> str:
        """Hash: question -> look; see `didflow.ledger.catalogue`."""
        return f"{self.catalogue}looks:{account}"

    def catalogue_began(self, account: str) -> str:
        """zset: question by when its look began, ms."""
        return f"{self.catalogue}began:{account}"

    def catalogue_bytes(self, account: str) -> str:
        """Int: how long the looks of the account are together."""
        return f"{self.catalogue}bytes:{account}"

    def catalogue_jobs(self, account: str) -> str:
        """Hash: question -> the job that makes a look, or made the last one."""
        return f"{self.catalogue}jobs:{account}"

    @property
    def catalogue(self) -> str:
        """What the keys of the catalogue begin with."""
        return f"{self.namespace}:catalogue:"

    @property
    def document_questions(self) -> str:
        """Channel: workers ask for documents' files, see `didflow.ledger.document_transfer`. What is published is stored nowhere."""
        return f"{self.namespace}:documents:questions"

    def document_parts(self, name: str) -> str:
        """Channel: parts of a file, to the attempt of that name."""
        return f"{self.namespace}:documents:parts:{name}"

    @property
    def api_keys(self) -> str:
        """Hash: SHA-256 of a secret of the HTTP API -> its key, see `didflow.ledger.api_keys`."""
        return f"{self.namespace}:api_keys"

    @property
    def api_keys_used(self) -> str:
        """Hash: key's id -> when it was last used, ms."""
        return f"{self.api_keys}:used"

    @property
    def api_keys_sent(self) -> str:
        """Hash: id of a key with a rate -> when its requests would have been sent at that rate, microseconds, see `api_key_request`."""
        return f"{self.api_keys}:sent"

    @property
    def api_keys_made(self) -> str:
        """Int: how many keys were ever made."""
        return f"{self.api_keys}:made"

    @property
    def webhooks(self) -> str:
        """Hash: endpoint's id -> its name."""
        return f"{self.namespace}:webhooks"

    @property
    def webhooks_version(self) -> str:
        """Int: counts changes of endpoints."""
        return f"{self.webhooks}:version"

    @property
    def webhooks_position(self) -> str:
        """Hash: how far the streams are read into the queues of the endpoints."""
        return f"{self.webhooks}:position"

    @property
    def webhook_messages(self) -> str:
        """Stream: events that endpoints want, as they are delivered."""
        return f"{self.webhooks}:messages"

    def webhook(self, endpoint_id: str) -> str:
        """Hash: an endpoint; its other keys begin so, see `didflow.ledger.webhooks`."""
        return f"{self.namespace}:webhook:{endpoint_id}"

    def awaited_finding(self, job_id: str) -> str:
        """Text, for a day: a finding that a second person is to confirm, see `didflow.ledger.awaited_findings`."""
        return f"{self.job(job_id)}:finding"

    @property
    def console_sessions(self) -> str:
        """Hash: SHA-256 of a token of the console -> its session, see `didflow.ledger.console_sessions`."""
        return f"{self.namespace}:console:sessions"

    @property
    def console_sessions_used(self) -> str:
        """Hash: SHA-256 of a token of the console -> when its session was last used, ms."""
        return f"{self.console_sessions}:used"

    @property
    def console_views(self) -> str:
        """Hash: name of a saved view of the console -> the view, see `didflow.ledger.console_views`."""
        return f"{self.namespace}:console:views"

    def metrics_hour(self, hour: int) -> str:
        """Hash, for a day: counts of that hour since the epoch by minute, see `didflow.ledger.minute_history`."""
        return f"{self.namespace}:metrics:hour:{hour}"

    @property
    def decisions(self) -> str:
        """Stream: people's decisions that no job records."""
        return f"{self.namespace}:decisions"

    @property
    def history(self) -> str:
        """Hash: number -> the head of its history."""
        return f"{self.namespace}:history"

    def history_of(self, number: str) -> str:
        return f"{self.history}:{number}"

    @property
    def epoch(self) -> str:
        return f"{self.namespace}:epoch"

    def gate(self, account: str) -> str:
        return f"{self.namespace}:gate:{account}"

    def accepted(self, account: str) -> str:
        return f"{self.gate(account)}:accepted"

    def gifts(self, account: str) -> str:
        """Hash: number -> the purchase that bought it, as a person says, see `didflow.ledger.gate.Gift`."""
        return f"{self.gate(account)}:gifts"

    def given(self, account: str) -> str:
        """Hash: number -> the purchase that has it by a person's decision, see `include/gifts.lua`."""
        return f"{self.gate(account)}:given"

    @property
    def holders(self) -> str:
        """Hash: number -> record id, account and reference of its purchase."""
        return f"{self.namespace}:holders"

    def holdings(self, reference: str) -> str:
        """Set: the numbers that were bought for this reference and are ours."""
        return f"{self.namespace}:holdings:{reference}"

    def inventory_state(self, account: str) -> str:
        """Hash: the sweep of the account's numbers, see `didflow.ledger.inventory`."""
        return f"{self.namespace}:inventory:state:{account}"

    def inventory_rows(self, account: str) -> str:
        """Hash: number that is ours -> what the provider showed of it last."""
        return f"{self.namespace}:inventory:rows:{account}"

    def inventory_lines(self, account: str, segment: int) -> str:
        """Text: what can be filtered of some of the numbers."""
        return f"{self.namespace}:inventory:lines:{account}:{segment}"

    def wake(self, lane: str) -> str:
        return f"{self.namespace}:wake:{lane}"

    def spent(self, scope: str) -> str:
        """Hash: minute -> what was settled in it. `scope` as in the scripts: ``account:default``."""
        return f"{self.namespace}:spent:{scope}"

    def held(self, scope: str) -> str:
        """Hash: job -> what its open checkout may cost."""
        return f"{self.namespace}:held:{scope}"
