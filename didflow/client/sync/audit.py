# Written by `make generate` from didflow/client/aio/audit.py: change that file.
"""The audit: who changed what, when and why."""

from collections.abc import Iterator
from datetime import datetime

from didflow.client.sync.base import Client
from didflow.contract.audit import AuditCheck, AuditFilter, AuditPage
from didflow.ledger.audit import audit_page, check_audit, stored_texts


class Audit(Client):
    """The changes that people and keys made in the namespace."""

    def audit(
        self,
        *,
        who: str | None = None,
        what: str | None = None,
        job: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> AuditPage:
        """List changes that people and keys made, newest first.

            page = didflow.audit(who="ann", what="cancel")
            for entry in page.entries:
                print(entry.at, entry.actor, entry.what, entry.on, entry.reason)

        Each filter is exact; `since` (included) and `until` (not) have a time zone. A page may have fewer entries than `limit` and yet a
        `next_cursor`. Raises InvalidRequest for a time without a zone, and for what isn't a cursor.
        """
        wanted = AuditFilter(who, what, job, since, until)
        return self.ledger.perform(audit_page(self.ledger.commands, wanted, limit=max(1, limit), cursor=cursor))

    def verify_audit(self, anchor: str | None = None) -> AuditCheck:
        """Walk the whole audit, and find where its chain is broken.

            check = didflow.verify_audit()
            print(check.faults or f"intact up to {check.anchor}")

        `anchor`: of an earlier walk, kept elsewhere; the check fails unless that entry still has that hash. Raises InvalidRequest for
        what isn't an anchor.
        """
        return self.ledger.perform(check_audit(self.ledger.commands, anchor))

    def audit_texts(self) -> Iterator[str]:
        """Yield every entry as it is kept (JSON), oldest first, to be kept elsewhere.

            for text in didflow.audit_texts():
                print(text)

        The SHA-1 of an entry's text is `after` of the next one.
        """
        after = "-"
        while after:
            after, texts = self.ledger.perform(stored_texts(self.ledger.commands, after))
            for text in texts:
                yield text
