#!/bin/sh
# The nightly fine-tune of the production model, 01:00 UTC. Arguments and settings: common.sh.
job=train-daily
nice=10
# shellcheck source=cron/common.sh
. "$(dirname -- "$0")/common.sh"
