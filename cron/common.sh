# shellcheck shell=sh
# What the wrappers of aifx's cron jobs share: an environment, a log file a job and day, the tail on failure, a ping, metrics.
#
# A wrapper sets `job` and `nice` and then reads this file with its own arguments:
#
#   JOB.sh [--home DIR] [--aifx PATH] [--line NAME] [--utc-hour HH] [--utc-day DD] [--utc-weekday D] [-- ARGUMENT...]
#
#   --home         the home of aifx [default: the folder above this one]
#   --aifx         the program [default: the aifx in PATH]
#   --line         the line, where the home has several
#   --utc-hour     end quietly, 0, unless it is this hour in UTC; likewise --utc-day (of the month, 01 to 31) and
#                  --utc-weekday (0 is Sunday)
#   after --       arguments for aifx
#
# Settings are variables of the environment, or assignments in settings.sh beside this file (never overwritten):
#
#   AIFX_LOG_DAYS       days that logs are kept [default: 30; 0: for ever]
#   AIFX_NICE           nice value of the training jobs [default: 10]
#   AIFX_PING_URL_JOB   dead-man ping, such as AIFX_PING_URL_TRAIN_DAILY=https://hc-ping.com/UUID: /start before,
#                       the address itself after success, /fail after failure
#   AIFX_TEXTFILE_DIR   folder of node_exporter's textfile collector
#
# The exit status is that of aifx, whatever happens to log, ping and metrics.

set -u
: "${job:?is set by the wrapper}"
umask 027
exec </dev/null
PATH="${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
export PATH

usage() {
  echo "$job.sh: $1" >&2
  exit 2
}

warn() {
  echo "$job.sh: $1" >&2
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || exit 3
home=$(dirname -- "$here")
aifx=aifx
line=
while [ $# -gt 0 ]; do
  case $1 in
    --)
      shift
      break
      ;;
    --home | --aifx | --line | --utc-hour | --utc-day | --utc-weekday)
      [ $# -ge 2 ] || usage "$1 wants a value"
      case $1 in
        --home) home=$2 ;;
        --aifx) aifx=$2 ;;
        --line) line=$2 ;;
        --utc-hour) [ "$(date -u +%H)" = "$2" ] || exit 0 ;;
        --utc-day) [ "$(date -u +%d)" = "$2" ] || exit 0 ;;
        --utc-weekday) [ "$(date -u +%w)" = "$2" ] || exit 0 ;;
      esac
      shift 2
      ;;
    *) usage "unknown argument $1; arguments for aifx stand after --" ;;
  esac
done

if [ -r "$here/settings.sh" ]; then
  # shellcheck source=/dev/null
  . "$here/settings.sh"
fi

name=$job${line:+-$line}
logs=$home/logs
log=$logs/$name-$(date -u +%Y-%m-%d).log

now() {
  date -u +%Y-%m-%dT%H:%M:%SZ
}

# The address is handed over on stdin: a process list shows it to nobody.
ping_url() {
  if command -v curl >/dev/null 2>&1; then
    printf 'url = "%s"\n' "$1" | curl --config - --silent --fail --location --max-time 10 --output /dev/null
  elif command -v wget >/dev/null 2>&1 && command -v timeout >/dev/null 2>&1; then
    printf '%s\n' "$1" | timeout 10 wget --quiet --tries=1 --timeout=10 --output-document=/dev/null --input-file=-
  else
    return 1
  fi
}

ping_variable() {
  echo "AIFX_PING_URL_$(printf %s "$1" | tr 'a-z-' 'A-Z_' | tr -cd 'A-Z0-9_')"
}

ping_watchdog() {
  eval "url=\${$(ping_variable "$name"):-\${$(ping_variable "$job"):-}}"
  [ -n "$url" ] || return 0
  ping_url "${url%/}$1" >/dev/null 2>&1 || warn "the dead-man ping did not get through"
}

# Written beside its name and renamed: the exporter never reads half a file.
write_metrics() {
  [ -n "${AIFX_TEXTFILE_DIR:-}" ] || return 0
  id=$(printf %s "$home" | cksum | cut -d ' ' -f 1)
  file=$AIFX_TEXTFILE_DIR/aifx-$name-$id.prom
  labels="{job=\"$name\",home=\"$(printf %s "$home" | sed 's/["\\]/\\&/g')\"}"
  if [ "$2" -eq 0 ]; then
    success=$1
  else
    success=$(sed -n 's/^aifx_job_last_success_timestamp_seconds{.*} //p' "$file" 2>/dev/null)
  fi
  {
    echo "# HELP aifx_job_last_run_timestamp_seconds When the job last ended."
    echo "# TYPE aifx_job_last_run_timestamp_seconds gauge"
    echo "aifx_job_last_run_timestamp_seconds$labels $1"
    echo "# HELP aifx_job_last_exit_status Exit status of the last run."
    echo "# TYPE aifx_job_last_exit_status gauge"
    echo "aifx_job_last_exit_status$labels $2"
    echo "# HELP aifx_job_duration_seconds How long the last run took."
    echo "# TYPE aifx_job_duration_seconds gauge"
    echo "aifx_job_duration_seconds$labels $3"
    if [ -n "$success" ]; then
      echo "# HELP aifx_job_last_success_timestamp_seconds When the job last ended with 0."
      echo "# TYPE aifx_job_last_success_timestamp_seconds gauge"
      echo "aifx_job_last_success_timestamp_seconds$labels $success"
    fi
  } 2>/dev/null >"$file.$$" && chmod 644 "$file.$$" && mv -f "$file.$$" "$file" && return 0
  rm -f "$file.$$"
  return 1
}

# number NAME VALUE DEFAULT: the value where it is a whole number, else a warning and the default.
number() {
  case $2 in
    *[!0-9]*)
      warn "$1 is not a whole number; it counts as $3"
      echo "$3"
      ;;
    *) echo "$2" ;;
  esac
}

remove_old_logs() {
  days=$(number AIFX_LOG_DAYS "${AIFX_LOG_DAYS:-30}" 30)
  [ "$days" -gt 0 ] || return 0
  find "$logs" -maxdepth 1 -type f -name "$name-????-??-??.log" -mtime "+$days" -exec rm -f {} + ||
    warn "old logs could not be removed from $logs"
}

set -- "$aifx" --home "$home" "$job" ${line:+--line "$line"} "$@"
if [ "${nice:-0}" -gt 0 ]; then
  if command -v ionice >/dev/null 2>&1 && ionice -c 2 -n 7 true 2>/dev/null; then
    set -- ionice -c 2 -n 7 "$@"
  fi
  if command -v nice >/dev/null 2>&1; then
    set -- nice -n "$(number AIFX_NICE "${AIFX_NICE:-$nice}" "$nice")" "$@"
  fi
fi

logged=yes
if mkdir -p "$logs" 2>/dev/null && (: >>"$log") 2>/dev/null; then
  remove_old_logs
  from=$(($(wc -c <"$log") + 1))
else
  warn "cannot write $log; what the job says follows"
  log=/dev/stderr
  logged=no
fi
say() {
  if [ "$logged" = yes ]; then
    echo "=== $(now) $name: $1" >>"$log" 2>/dev/null
  fi
}

ping_watchdog /start
began=$(date +%s)
say "started"

# In the background, so that a signal for the wrapper can be passed on while the job runs.
if [ "$logged" = yes ]; then
  "$@" >>"$log" 2>&1 &
else
  "$@" >&2 &
fi
child=$!
trap 'kill -TERM "$child" 2>/dev/null' HUP INT TERM
while :; do
  wait "$child"
  status=$?
  # A signal ends `wait` early; the job's own status comes with its end.
  if [ "$status" -le 128 ] || ! kill -0 "$child" 2>/dev/null; then
    break
  fi
done
trap - HUP INT TERM

ended=$(date +%s)
took=$((ended - began))
say "ended with $status after $took s"

if [ "$status" -ne 0 ]; then
  warn "aifx $name ended with $status after $took s"
  if [ "$logged" = yes ]; then
    echo "the end of $log:" >&2
    tail -c "+$from" "$log" | tail -n 30 >&2
  fi
fi
write_metrics "$ended" "$status" "$took" || warn "the metrics in $AIFX_TEXTFILE_DIR could not be written"
if [ "$status" -eq 0 ]; then
  ping_watchdog ''
else
  ping_watchdog /fail
fi
exit "$status"
