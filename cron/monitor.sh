#!/bin/sh
# Watches the production model, hourly. Arguments and settings: common.sh.
job=monitor
# It may train what is stale or was missed.
nice=10
# shellcheck source=cron/common.sh
. "$(dirname -- "$0")/common.sh"
