#!/bin/sh
# The ranking of every live version, on the 1st at 00:00 UTC. Arguments and settings: common.sh.
job=evaluate-monthly
nice=10
# shellcheck source=cron/common.sh
. "$(dirname -- "$0")/common.sh"
