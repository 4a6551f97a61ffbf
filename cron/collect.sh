#!/bin/sh
# The newest candles, every 15 minutes. Arguments and settings: common.sh.
job=collect
nice=0
# shellcheck source=cron/common.sh
. "$(dirname -- "$0")/common.sh"
