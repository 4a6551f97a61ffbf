#!/bin/sh
# A new model from scratch, Sunday 01:00 UTC. Arguments and settings: common.sh.
job=train-weekly
nice=10
# shellcheck source=cron/common.sh
. "$(dirname -- "$0")/common.sh"
