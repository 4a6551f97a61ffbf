#!/bin/sh
# Signals for every closed candle not yet answered, every 15 minutes. Arguments and settings: common.sh.
job=predict
nice=0
# shellcheck source=cron/common.sh
. "$(dirname -- "$0")/common.sh"
