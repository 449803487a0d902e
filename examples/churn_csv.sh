#!/bin/sh
# Customers who left and customers who returned, from a CSV file.
#
# Shows: a dry run that names what each line would do, then the releases. They count down: until then `returned` calls them off.
#
#     sh examples/churn_csv.sh examples/churn.csv
#
# Without numbers for these customers each line says so. On `didflow up`, order some first:
#
#     didflow buy --country US --city "LOS ANGELES, CA" --reference acme --key order-acme-1 --yes --wait
#
# A line that can't be acted on stops no other; the report names it and the exit code is 1. The same file may be run again:
# a line's key is its job. The columns: docs/churn.md. It asks for nothing, so it may run from cron.
set -eu
file=${1:?usage: churn_csv.sh FILE}

didflow churn csv "$file" --dry-run || echo "some lines can't be acted on; the others will be" >&2
didflow churn csv "$file" --yes
