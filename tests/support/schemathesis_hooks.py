"""Hooks of Schemathesis, which imports this file."""

import os
from typing import Any

import schemathesis
from schemathesis import Case, HookContext

#: The name and the id of the key that it sends. It finds them in answers, and would rotate or revoke the key.
OWN = os.environ["FUZZ_KEY_NAMES"].split()


@schemathesis.hook
def filter_case(context: HookContext, case: Case[Any]) -> bool:
    """Leave out what would shut Schemathesis itself out."""
    named = (case.path_parameters or {}).get("name")
    return not (case.operation.path.startswith("/v1/keys/{name}") and named in OWN)
