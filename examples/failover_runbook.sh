#!/bin/sh
# The runbook of an incident: a SIP destination failed, its numbers move to a backup and, when it is repaired, back.
#
# Shows: a look that changes nothing, a move that is repeated safely, a check, and a failback to each number's own route.
#
# Run one step at a time during an incident. Every step may be repeated: the incident's name is the key.
#
#     sh examples/failover_runbook.sh look INC-31 pbx@example.net sip:backup@example.net
#     sh examples/failover_runbook.sh move INC-31 pbx@example.net sip:backup@example.net
#     sh examples/failover_runbook.sh back INC-31
#
# A failed trunk instead of a SIP destination: --from-trunk TRUNK. Plans that are kept ready: docs/failover.md.
set -eu
step=${1:?usage: failover_runbook.sh look|move|back INCIDENT [FROM TO]}
incident=${2:?name the incident}
from_to() { [ $# -eq 4 ] || { echo "usage: failover_runbook.sh $step INCIDENT FROM TO" >&2; exit 2; }; }

case $step in
look)
    from_to "$@"
    # How many numbers would move, and from where. Changes nothing.
    didflow failover --from-destination "$3" --to "$4" --dry-run
    ;;
move)
    from_to "$@"
    # The first 2 numbers go ahead; if they can't be confirmed, the others stay. Waits, and reads every number back.
    didflow failover --from-destination "$3" --to "$4" --incident "$incident" --canary 2 --yes
    ;;
back) # Each number gets its own old route. What somebody changed in the meantime is left alone.
    didflow failback "$incident" --yes
    ;;
*)
    echo "unknown step: $step (look, move or back)" >&2
    exit 2
    ;;
esac
