#!/bin/sh
# An order from a system that doesn't speak Python, by plain Redis commands.
#
# Shows: one XADD that orders numbers, sent twice without buying twice, and the result read by a consumer group.
#
# Run it where `didflow requests consume` and workers run (`didflow up` has both):
#
#     REDIS_CLI="redis-cli -u redis://127.0.0.1:6379" sh examples/event_intake.sh 4741 acme
#
# For the embedded server of `didflow up`: REDIS_CLI="redis-cli -s PATH", with the path from the unix:// URL that `up` prints.
# The events, their fields and the errors: docs/events.md. The results: docs/results.md.
set -eu
order=${1:?usage: event_intake.sh ORDER CUSTOMER}
customer=${2:?usage: event_intake.sh ORDER CUSTOMER}
namespace=${DIDFLOW_NAMESPACE:-didflow}
redis=${REDIS_CLI:-redis-cli}
command -v "${redis%% *}" > /dev/null || { echo "${redis%% *} isn't installed: name your redis-cli or valkey-cli in REDIS_CLI" >&2; exit 2; }

# The group first, so that no result is missed. BUSYGROUP means that it exists.
$redis XGROUP CREATE "$namespace:results" crm '$' MKSTREAM || true

# The event's id and the order make it one purchase, however often the event is sent.
data="{\"request\": {\"country\": \"US\", \"city\": \"LOS ANGELES, CA\", \"quantity\": 2}, \"order\": \"$order\", \"customer\": \"$customer\"}"
for _ in 1 2; do
    $redis XADD "$namespace:requests" '*' id "order-$order" type didflow.onboarding.order.v1 data "$data"
done

# Blocks until the result is there, for a minute at most. Acknowledge the entry when your own work is written down:
# XACK "$namespace:results" crm ENTRY-ID
$redis XREADGROUP GROUP crm crm-1 COUNT 1 BLOCK 60000 STREAMS "$namespace:results" '>'
