"""The age and the waiting time that a caller gives with a question to what workers keep."""

from didflow.contract.errors import InvalidRequest
from didflow.ledger.script_calls import label_faults


def check_freshness(account: str, max_age_s: float, timeout_s: float) -> None:
    """Raises InvalidRequest with every fault."""
    faults = label_faults(None, None, account, 5)
    if not max_age_s >= 0:  # NaN, too.
        faults.append(("max_age_s", "is zero or more seconds; infinity for any age"))
    if not 0 <= timeout_s < float("inf"):
        faults.append(("timeout_s", "is zero or more seconds"))
    if faults:
        raise InvalidRequest("; ".join(f"{where}: {what}" for where, what in faults), tuple(faults))
