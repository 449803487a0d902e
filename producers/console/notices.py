"""What a page says after a change. A link can choose among these sentences and bring none of its own."""

NOTICES: dict[str, str] = {
    "logged_out": "You are logged out.",
    "cancel_asked": "The job will be cancelled at its next safe point. What took effect stays, and is reported.",
    "cancelled": "The job is cancelled.",
    "too_late": "The job had ended before: nothing was cancelled.",
    "retried": "The job continues from its last checkpoint.",
    "replayed": "Replayed.",
    "dropped": "Deleted permanently.",
    "key_revoked": "The key is revoked, and its sessions have ended.",
    "session_ended": "The session has ended.",
    "accepted": "Accepted. Workers open the gate when nothing else is found.",
    "frozen": "Frozen: no purchase and no release begins from now on. Reroutes continue.",
    "freezing": "Frozen. Some calls were allowed before it, and are still under way: they are shown below until they have their answers.",
    "lifted": "The freeze is lifted. The jobs that waited for it continue.",
    "limits_saved": "The limits are saved.",
    "submitted": "Submitted. This page shows how far it has come.",
    "called_off": "The release is called off at its next safe point. Numbers that haven't gone stay, and their routes are restored.",
    "webhook_enabled": "Enabled: what was queued meanwhile is delivered.",
    "webhook_disabled": "Disabled: events are queued, for seven days.",
    "webhook_tested": "A test event is on its way: its delivery appears below.",
    "webhook_redelivered": "Queued. Each delivery appears below.",
    "webhook_deleted": "The endpoint is deleted, with what waited for it.",
    "view_saved": "The view is saved.",
    "view_deleted": "The view is deleted.",
    "given": "The number belongs to the job now.",
    "give_kept": "Kept. A worker reads the number and gives it to the purchase; then it is no finding any more.",
    "moving": "The move has begun. It can be stopped here, and brought back.",
    "stopped": "Stopped. What has moved stays moved, and can be brought back.",
    "bringing_back": "The failback has begun.",
    "nothing_back": "Nothing was moved under this name, so there is nothing to bring back.",
    "plan_refreshed": "The plan's numbers are as of now.",
    "plan_saved": "The plan is saved, and its numbers are as of now. Workers keep them up to date.",
    "plan_removed": "The plan is removed. What it has moved stays moved, and can be brought back by its incident.",
    "plan_later": "A worker is selecting the plan's numbers. The page shows it as soon as that is done.",
    "plan_trouble": "The plan's numbers couldn't be selected: those of the last good selection stay.",
    "not_parked": "The job isn't parked any more: this is how it stands.",
    "owned_read": "A worker has read the whole owned list. The evidence below is as of now.",
    "owned_later": "A worker is to read the whole owned list. The page shows it as soon as that is done.",
    "owned_failed": "The owned list couldn't be read whole, so it proves nothing. Try again.",
    "resolved": "The job has ended with your finding. The reason is in the audit.",
    "second_needed": "Your finding is kept for a day. A second person has to confirm it: nothing has changed yet.",
}


def notice(code: str) -> str | None:
    """The sentence; None for a code that isn't one."""
    return NOTICES.get(code)
