#!/bin/sh
# Watches the production model, hourly. Arguments and settings: common.sh.
job=monitor
nice=0
# shellcheck source=cron/common.sh
. "$(dirname -- "$0")/common.sh"
