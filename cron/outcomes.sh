#!/bin/sh
# Closes open signals, every minute. Arguments and settings: common.sh.
job=outcomes
nice=0
# shellcheck source=cron/common.sh
. "$(dirname -- "$0")/common.sh"
