#!/usr/bin/env bash
# Runs a strata command under mpirun, with every rank's threads on cores of their own, and again after failures.
set -euo pipefail

usage() {
  cat <<'END'
usage: launch/run.sh -n RANKS [options] -- COMMAND [ARGUMENTS]

  -n RANKS            ranks in all
  --threads N         cores, and worker threads, of each rank (default: the node's cores over its ranks)
  --hostfile FILE     hosts and their slots, one a line: "node1 slots=8"
  --max-restarts N    after a failure of train start again with --resume, at most N times (default 0)
  --backoff SECONDS   before a restart; doubled, up to a minute, while starts bring no new checkpoint (default 1)

example: launch/run.sh -n 16 --hostfile hosts --max-restarts 5 -- train configs/m4/smoe-4-4.yaml --out runs/m4
END
}

say() { echo "run.sh: $1" >&2; }
fail() { say "$1"; exit 64; }

ranks='' threads='' hostfile='' restarts=0 backoff=1
while [ $# -gt 0 ]; do
  case $1 in
    -n | --threads | --hostfile | --max-restarts | --backoff)
      [ $# -ge 2 ] || fail "$1 needs a value; see --help" ;;
  esac
  case $1 in
    -n) ranks=$2; shift 2 ;;
    --threads) threads=$2; shift 2 ;;
    --hostfile) hostfile=$2; shift 2 ;;
    --max-restarts) restarts=$2; shift 2 ;;
    --backoff) backoff=$2; shift 2 ;;
    --help | -h) usage; exit 0 ;;
    --) shift; break ;;
    *) fail "unknown option $1; see --help" ;;
  esac
done
[[ $ranks =~ ^[1-9][0-9]*$ ]] || fail "-n must be a number of ranks, but is '$ranks'; see --help"
[[ -z $threads || $threads =~ ^[1-9][0-9]*$ ]] || fail "--threads must be a number, but is '$threads'"
[[ $restarts =~ ^[0-9]+$ ]] || fail "--max-restarts must be a number, but is '$restarts'"
[[ $backoff =~ ^[0-9]+$ ]] || fail "--backoff must be a whole number of seconds, but is '$backoff'"
[ -z "$hostfile" ] || [ -r "$hostfile" ] || fail "--hostfile $hostfile: must be a readable file"
[ $# -gt 0 ] || fail "a strata command must follow --; see --help"

root=$(cd "$(dirname "$0")/.." && pwd)
strata=${STRATA:-$(swift build -c release --package-path "$root" --show-bin-path)/strata}
[ -x "$strata" ] || fail "$strata: must be built: swift build -c release --product strata"

mpirun=(mpirun -n "$ranks")
[ -z "$hostfile" ] || mpirun+=(--hostfile "$hostfile")
# The cores that this shell may run on. Open MPI counts cores; nproc counts hardware threads, or says what OMP_NUM_THREADS does.
allowed_cores() {
  local range processor siblings
  for range in $(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status | tr , ' '); do
    for ((processor = ${range%-*}; processor <= ${range#*-}; processor++)); do
      # Hardware threads of one core name the same siblings.
      siblings=$processor
      { read -r siblings <"/sys/devices/system/cpu/cpu$processor/topology/thread_siblings_list"; } 2>/dev/null || true
      echo "$siblings"
    done
  done | sort -u | wc -l
}

cores=$(allowed_cores)
if [ -n "$threads" ]; then
  mpirun+=(--map-by "slot:PE=$threads")
elif [ -z "$hostfile" ] && [ "$ranks" -gt "$cores" ]; then
  mpirun+=(--oversubscribe)
elif [ -z "$hostfile" ] && [ $((cores / ranks)) -gt 1 ]; then
  mpirun+=(--map-by "slot:PE=$((cores / ranks))")
fi
if [ "$(id -u)" -eq 0 ]; then
  # Containers run as root; Open MPI wants to be told that this is meant.
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

command=("$@")
# The run's folder, whose newest checkpoint says whether a start has brought it further.
out=''
for ((i = 0; i < ${#command[@]}; i++)); do
  case ${command[i]} in
    --out) out=${command[i + 1]:-} ;;
    --out=*) out=${command[i]#--out=} ;;
  esac
done
newest() { [ -z "$out" ] || cat "$out/checkpoints/latest" 2>/dev/null || true; }

# Kills what is left on this host of a job: mpirun was made the leader of a session, and its ranks are in it.
end_session() {
  local stat line fields
  for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    # After the name, which is in parentheses and may hold anything: state, parent, group, session.
    read -ra fields <<<"${line##*) }"
    [ "${fields[3]}" = "$1" ] || continue
    stat=${stat#/proc/}
    kill -KILL "${stat%/stat}" 2>/dev/null || true
  done
}

# mpirun answers SIGTERM and SIGINT by killing its ranks at once, but passes SIGUSR1 on. In a session of its own it does not see
# the terminal's Ctrl-C, and the ranks have the time to write a checkpoint.
running='' stops=0
stop() {
  stops=$((stops + 1))
  # Between two jobs it is the loop that looks.
  [ -n "$running" ] || return 0
  # The job may have ended just now: that is no error.
  if [ "$stops" -gt 1 ]; then end_session "$running"; else kill -USR1 "$running" 2>/dev/null || true; fi
}
trap stop TERM INT USR1

stuck=0 pause=$backoff
while :; do
  [ "$stops" -eq 0 ] || exit 75
  before=$(newest)
  setsid "${mpirun[@]}" "$strata" "${command[@]}" <&0 &
  running=$!
  # Asked since the loop looked.
  [ "$stops" -eq 0 ] || kill -USR1 "$running" 2>/dev/null || true
  status=0
  # A signal interrupts wait: the status counts only once mpirun has ended.
  wait "$running" || status=$?
  while kill -0 "$running" 2>/dev/null; do status=0; wait "$running" || status=$?; done
  # From here on a stop has nobody to be passed on to. An mpirun that was killed may leave ranks behind.
  session=$running running=''
  end_session "$session"
  # The request came before the ranks listened to it: nothing was done that could be lost.
  if [ "$stops" -gt 0 ] && [ "$status" -eq $((128 + $(kill -l USR1))) ]; then status=75; fi
  # 64 and 65 would fail again, and 75 is a stop that was asked for.
  case $status in 0 | 64 | 65 | 75) exit "$status" ;; esac
  if [ "$restarts" -eq 0 ] || [ "$stops" -gt 0 ] || [ "${command[0]}" != train ]; then exit "$status"; fi
  restarts=$((restarts - 1))
  after=$(newest)
  if [ "$after" != "$before" ]; then
    stuck=0 pause=$backoff
  else
    stuck=$((stuck + 1))
    if [ "$stuck" -gt 1 ]; then
      say "no progress: the last $stuck starts failed before a new checkpoint (newest: ${after:-none}); see above for the cause"
      pause=$((pause * 2 > 60 ? 60 : pause * 2))
    fi
  fi
  [[ " ${command[*]} " == *" --resume "* ]] || command+=(--resume)
  say "ended with status $status; resuming in $pause s, $restarts restart(s) left"
  sleep "$pause" &
  wait $! || true
done
