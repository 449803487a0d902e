"""The examples at the end of each command's `--help`. Those of roles stand in the roles' own modules."""

import typer

#: Every command has both.
HELP = {"help_option_names": ["-h", "--help"]}
#: By what stands behind `didflow`; of a group that is no command by itself there are none.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "buy": (
        'buy --country US --city "LOS ANGELES, CA" -q 2 --key order-5',
        "buy --country DE --documents allow_inactive --dry-run",
    ),
    "catalogue countries": ("catalogue countries", "catalogue countries --fresh --json"),
    "catalogue regions": ("catalogue regions --country US",),
    "catalogue cities": ("catalogue cities --country US --region California", "catalogue cities --country DE --max-age any"),
    "catalogue offers": (
        'catalogue offers --country US --city "MIAMI, FL" --sms',
        "catalogue offers --country DE --city Berlin --json",
    ),
    "reroute": (
        "reroute --number +12135550100 --to sip:pbx@example.net --wait",
        "reroute --from-trunk 144 --to trunk:145 --dry-run",
    ),
    "failover": (
        "failover --from-trunk 144 --to trunk:145 --incident INC-7",
        "failover --numbers numbers.txt --to sip:backup@example.net --dry-run",
    ),
    "failover plan save": ("failover plan save trunk-144 --from-trunk 144 --to trunk:145",),
    "failover plan list": ("failover plan list",),
    "failover plan show": ("failover plan show trunk-144",),
    "failover plan run": ("failover plan run trunk-144 --incident INC-7",),
    "failover plan refresh": ("failover plan refresh trunk-144", "failover plan refresh --all"),
    "failover plan delete": ("failover plan delete trunk-144",),
    "failback": ("failback INC-7 --dry-run", "failback INC-7 --yes"),
    "release": (
        "release --number +12135550100 --grace 7d --park sip:gone@example.net",
        "release --label left --expected-count 12 --key cleanup-2026-12",
    ),
    "churn churned": ("churn churned acme --grace 7d", "churn churned acme --at 2026-12-31 --before-renewal 24h"),
    "churn returned": ("churn returned acme",),
    "churn csv": ("churn csv left.csv --dry-run", "churn csv left.csv --yes"),
    "churn upcoming": ("churn upcoming --days 7", "churn upcoming --all --json"),
    "documents missing": ("documents missing --number +493055500100",),
    "documents follow": ("documents follow --number +493055500100 --deadline 14d",),
    "documents upload": ("documents upload --type address --file proof.pdf -n +493055500100",),
    "pool list": ("pool list",),
    "pool return": ("pool return --number +12135550100",),
    "freeze": ('freeze --reason "wrong customers are released"', 'freeze --account shop --reason "price error"'),
    "unfreeze": ('unfreeze --reason "the list was corrected"', "unfreeze --account shop"),
    "cancel": ("cancel 019ad3f27c5e8a1b2c3d4e5f6a",),
    "status": ("status 019ad3f27c5e8a1b2c3d4e5f6a --wait", "status 019ad3f27c5e8a1b2c3d4e5f6a --csv numbers.csv"),
    "jobs": ("jobs --state needs_review", "jobs --reference acme --json"),
    "explain": ("explain 019ad3f27c5e8a1b2c3d4e5f6a",),
    "audit": ("audit --who ann --since 7d", "audit --verify"),
    "decisions": ("decisions --limit 100",),
    "numbers": ("numbers --country US --renewal-within 7d", "numbers --label acme --csv numbers.csv"),
    "numbers show": ("numbers show +12135550100",),
    "numbers views": ("numbers views",),
    "numbers save-view": ('numbers save-view "idle in Germany" "country=DE&unused_for=30d"',),
    "numbers delete-view": ('numbers delete-view "idle in Germany"',),
    "numbers totals": ("numbers totals --country US --renewal-days 7",),
    "routes": ("routes --at 2026-11-30T16:45", "routes --at 2h --number +12135550100 --json"),
    "routes diff": ("routes diff 2026-11-30T16:45 now", "routes diff 2d 1d --csv changed.csv"),
    "failover rehearse": ("failover rehearse evening", "failover rehearse evening --rate 20 --json"),
    "history": ("history +12135550100", "history --all"),
    "incidents": ("incidents", "incidents --limit 100 --json"),
    "incidents status": ("incidents status INC-7 --watch",),
    "incidents cancel": ("incidents cancel INC-7 --dry-run",),
    "incidents failback": ("incidents failback INC-7 --dry-run",),
    "results": ("results --limit 5", "results --group billing --follow --json"),
    "results groups": ("results groups",),
    "results delete-group": ("results delete-group billing --stream results",),
    "onboarding status": ("onboarding status 4711 --wait",),
    "onboarding fulfilments": ("onboarding fulfilments --follow --json",),
    "spend": ("spend", "spend --reference acme"),
    "activity": ("activity", "activity --minutes 180 --json"),
    "dead-letters": ("dead-letters", "dead-letters --replay all"),
    "evidence": ("evidence 019ad3f27c5e8a1b2c3d4e5f6a", "evidence 019ad3f27c5e8a1b2c3d4e5f6a --json"),
    "retry": ("retry 019ad3f27c5e8a1b2c3d4e5f6a",),
    "resolve": (
        "resolve 019ad3f27c5e8a1b2c3d4e5f6a --bought +12135550100",
        "resolve 019ad3f27c5e8a1b2c3d4e5f6a --not-bought",
    ),
    "settings": ("settings --json",),
    "schema": ("schema events",),
    "webhooks run": ("webhooks run",),
    "webhooks create": (
        "webhooks create shop https://shop.example.com/ --type 'didflow.job.*'",
        "webhooks create erp https://erp.example.com/in --reference-prefix erp-",
    ),
    "webhooks list": ("webhooks list",),
    "webhooks show": ("webhooks show shop",),
    "webhooks update": (
        "webhooks update shop --url https://new.example.com/hook",
        'webhooks update shop --every-type --disabled --reason "moved"',
    ),
    "webhooks rotate": ("webhooks rotate shop --overlap 24h",),
    "webhooks enable": ("webhooks enable shop",),
    "webhooks disable": ("webhooks disable shop",),
    "webhooks delete": ("webhooks delete shop",),
    "webhooks deliveries": ("webhooks deliveries shop --limit 100",),
    "webhooks redeliver": ("webhooks redeliver shop --since 2h", "webhooks redeliver shop 019ad3f27c5e8a1b2c3d4e5f6a:3"),
    "webhooks test": ("webhooks test shop",),
    "keys create": ("keys create shop --scope read --scope buy --expires 90d", "keys create ops --scope admin"),
    "keys list": ("keys list",),
    "keys rotate": ("keys rotate shop --overlap 24h",),
    "keys revoke": ("keys revoke shop",),
    "keys sessions": ("keys sessions",),
    "keys end-session": ('keys end-session 0f3a5c9d1b2e --reason "lost laptop"', "keys end-session --key ann"),
    "completion": ("completion bash",),
    "serve": ("serve", "serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem"),
    "requests consume": ("requests consume",),
    "requests send": ("requests send didflow.onboarding.order.v1 --id 4711 --data @order.json",),
}


def add_examples(app: typer.Typer, path: tuple[str, ...] = ()) -> None:
    """Give each command of the app its examples."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        command.epilog = _shown((*path, name)) or command.epilog
    for group in app.registered_groups:
        inner = (*path, group.name) if isinstance(group.name, str) else path
        if shown := _shown(inner):
            group.epilog = shown
        if group.typer_instance is not None:
            add_examples(group.typer_instance, inner)


def _shown(path: tuple[str, ...]) -> str | None:
    examples = EXAMPLES.get(" ".join(path))
    return as_lines("Examples:", *(f"didflow {example}" for example in examples)) if examples else None


def as_lines(*lines: str) -> str:
    """A text that `--help` shows line by line. To it brackets are markup."""
    return "\n".join(line.replace("[", "\\[") for line in lines)
