#!/usr/bin/env bash
# Runs a strata command under mpirun, with every rank's threads on cores of their own, and again after failures.
set -euo pipefail

usage() {
  cat <<'END'
usage: launch/run.sh -n RANKS [options] -- COMMAND [ARGUMENTS]
       launch/run.sh --check --hostfile FILE [-- COMMAND [ARGUMENTS]]

  -n RANKS            ranks in all
  --threads N         cores, and worker threads, of each rank (default: the node's cores over its ranks)
  --hostfile FILE     hosts and their slots, one a line: "node1 slots=8"
  --max-restarts N    after a failure of train start again with --resume, at most N times (default 0)
  --backoff SECONDS   before a restart; doubled, up to a minute, while starts bring no new checkpoint (default 1)
  --min-ranks M       restarts leave out hosts of the hostfile that do not answer ssh, and go on with fewer ranks, at least M
                      (default: as many as -n)
  --check             looks at the hosts of the hostfile, with the configuration and run folder of the command, and starts
                      nothing: strata doctor --hostfile

example: launch/run.sh -n 16 --hostfile hosts --max-restarts 5 -- train configs/m4/smoe-4-4.yaml --out runs/m4
END
}

say() { echo "run.sh: $1" >&2; }
fail() { say "$1"; exit 64; }

ranks='' threads='' hostfile='' restarts=0 backoff=1 fewest='' check=false
while [ $# -gt 0 ]; do
  case $1 in
    -n | --threads | --hostfile | --max-restarts | --backoff | --min-ranks)
      [ $# -ge 2 ] || fail "$1 needs a value; see --help" ;;
  esac
  case $1 in
    -n) ranks=$2; shift 2 ;;
    --threads) threads=$2; shift 2 ;;
    --hostfile) hostfile=$2; shift 2 ;;
    --max-restarts) restarts=$2; shift 2 ;;
    --backoff) backoff=$2; shift 2 ;;
    --min-ranks) fewest=$2; shift 2 ;;
    --check) check=true; shift ;;
    --help | -h) usage; exit 0 ;;
    --) shift; break ;;
    *) fail "unknown option $1; see --help" ;;
  esac
done
$check || [[ $ranks =~ ^[1-9][0-9]*$ ]] || fail "-n must be a number of ranks, but is '$ranks'; see --help"
[[ -z $threads || $threads =~ ^[1-9][0-9]*$ ]] || fail "--threads must be a number, but is '$threads'"
[[ $restarts =~ ^[0-9]+$ ]] || fail "--max-restarts must be a number, but is '$restarts'"
[[ $backoff =~ ^[0-9]+$ ]] || fail "--backoff must be a whole number of seconds, but is '$backoff'"
[ -z "$hostfile" ] || [ -r "$hostfile" ] || fail "--hostfile $hostfile: must be a readable file"
if [ -n "$fewest" ] && ! $check; then
  [[ $fewest =~ ^[1-9][0-9]*$ ]] && [ "$fewest" -le "$ranks" ] ||
    fail "--min-ranks must be a number up to that of -n, $ranks, but is '$fewest'"
  [ -n "$hostfile" ] || fail "--min-ranks needs --hostfile: it says which ranks there can be"
fi
$check || [ $# -gt 0 ] || fail "a strata command must follow --; see --help"
! $check || [ -n "$hostfile" ] || fail "--check needs --hostfile: the hosts to look at; of this one strata doctor says the same"

here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
root=${here%/*}
# shellcheck source=launch/hosts.sh
source "$here/hosts.sh"
strata=${STRATA:-$(swift build -c release --package-path "$root" --show-bin-path)/strata}
[ -x "$strata" ] || fail "$strata: must be built: swift build -c release --product strata"

if $check; then
  # What of a train command the hosts must have alike.
  look=(doctor --hostfile "$hostfile") configuration='' changes=()
  while [ $# -gt 0 ]; do
    case $1 in
      --set | --out) [ $# -ge 2 ] || fail "$1 needs a value" ;;&
      --set) changes+=(--set "$2"); shift ;;
      --set=*) changes+=("$1") ;;
      --out) look+=(--out "$2"); shift ;;
      --out=*) look+=("$1") ;;
      *.yaml | *.yml) configuration=${configuration:-$1} ;;
    esac
    shift
  done
  [ -z "$configuration" ] || look+=(--config "$configuration" "${changes[@]}")
  exec "$strata" "${look[@]}"
fi

cores=$(allowed_cores)
options=(-x STRATA_JOB)
if [ -n "$threads" ]; then
  options+=(--map-by "slot:PE=$threads")
elif [ -z "$hostfile" ] && [ "$ranks" -gt "$cores" ]; then
  options+=(--oversubscribe)
elif [ -z "$hostfile" ] && [ $((cores / ranks)) -gt 1 ]; then
  options+=(--map-by "slot:PE=$((cores / ranks))")
fi
# A host that has gone says nothing. mpirun asks after half a minute at most, says which one it lost, and ends the job.
for setting in time:10 intvl:5 probes:4; do
  name=oob_tcp_keepalive_${setting%:*}
  [ -n "$(printenv "OMPI_MCA_$name")" ] || options+=(--mca "$name" "${setting#*:}")
done
if [ -n "$hostfile" ] && [[ ${OMPI_MCA_plm_rsh_agent:-ssh} =~ ^([^[:space:]]*/)?ssh$ ]]; then
  # So does the ssh that has started its daemon there.
  alive='-o ConnectTimeout=10 -o ServerAliveInterval=10 -o ServerAliveCountMax=3'
  export OMPI_MCA_plm_rsh_args="${OMPI_MCA_plm_rsh_args:+$OMPI_MCA_plm_rsh_args }$alive"
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

# Kills an mpirun that goes on after all that it had started has ended: it waits for the daemon of a host that it cannot reach.
end_late() {
  local started=false waited=0
  while kill -0 "$1" 2>/dev/null; do
    if has_children "$1"; then
      started=true waited=0
    elif $started && [ $((waited += 1)) -gt 10 ]; then
      say "the job has ended, but mpirun waits for a host that it cannot reach; killing it"
      end_session "$1"
    fi
    sleep 1 >/dev/null 2>&1
  done
}
has_children() {
  local child
  for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
    # One that nobody has collected yet is there, but has no arguments.
    if { IFS= read -r -d '' _ <"/proc/$child/cmdline"; } 2>/dev/null; then return 0; fi
  done
  return 1
}

# Sets `list` to the hosts that answer, and `starting` to the ranks that they have slots for. Says what has changed; fails if
# the ranks are too few.
absent=''
choose_hosts() {
  local slots=0 count line host there lost='' names=''
  : >"$list"
  while read -r count line; do
    echo "$line" >>"$list"
    slots=$((slots + count))
  done < <(answering "$hostfile")
  there=" $(host_names "$list" | paste -sd ' ') "
  for host in $(host_names "$hostfile"); do
    if [[ $there == *" $host "* ]]; then names+="${names:+, }$host"; else lost+="${lost:+, }$host"; fi
  done
  starting=$((slots < ranks ? slots : ranks))
  if [ -z "$lost" ]; then
    # Whether that is enough is for mpirun to say.
    starting=$ranks
    [ -z "$absent" ] || say "$absent: there again; going on with $ranks ranks"
  elif [ "$starting" -lt "${fewest:-$ranks}" ]; then
    say "no answer from $lost: the others have slots for $slots rank(s), but there must be ${fewest:-$ranks}$(
      [ -n "$fewest" ] || echo ' (see --min-ranks)')"
    absent=$lost
    return 1
  else
    say "no answer from $lost; going on with $starting of $ranks ranks on $names"
  fi
  absent=$lost
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

# Before another start; uses up a restart.
rest() {
  restarts=$((restarts - 1))
  say "$1 in $pause s, $restarts restart(s) left"
  sleep "$pause" &
  wait $! || true
}
longer() { pause=$((pause * 2 > 60 ? 60 : pause * 2)); }

list=$hostfile
if [ -n "$hostfile" ]; then
  list=$(mktemp)
  trap 'rm -f "$list"' EXIT
  cat "$hostfile" >"$list"
fi
jobs=$(uname -n).$$
stuck=0 pause=$backoff starts=0 starting=$ranks
while :; do
  [ "$stops" -eq 0 ] || exit 75
  if [ -n "$fewest" ] || { [ -n "$hostfile" ] && [ "$starts" -gt 0 ]; }; then
    if ! choose_hosts; then
      if [ "$restarts" -eq 0 ] || [ "${command[0]}" != train ]; then exit 70; fi
      rest "asking again"
      longer
      continue
    fi
    [ "$stops" -eq 0 ] || exit 75
    # A host that is back may still have ranks of the job that lost it.
    end_on_hosts "$list" "$jobs"
  fi
  starts=$((starts + 1))
  before=$(newest)
  STRATA_JOB=$jobs.$starts \
    setsid mpirun -n "$starting" ${list:+--hostfile "$list"} "${options[@]}" "$strata" "${command[@]}" <&0 &
  running=$!
  # Asked since the loop looked.
  [ "$stops" -eq 0 ] || kill -USR1 "$running" 2>/dev/null || true
  late=''
  if [ -n "$hostfile" ] && [ "${command[0]}" = train ]; then
    end_late "$running" &
    late=$!
  fi
  status=0
  # A signal interrupts wait: the status counts only once mpirun has ended. What the shell says of a killed one is said below.
  { wait "$running" || status=$?; } 2>/dev/null
  while kill -0 "$running" 2>/dev/null; do status=0; { wait "$running" || status=$?; } 2>/dev/null; done
  # From here on a stop has nobody to be passed on to. An mpirun that was killed may leave ranks behind.
  session=$running running=''
  if [ -n "$late" ]; then kill "$late" 2>/dev/null || true; fi
  end_session "$session"
  # The request came before the ranks listened to it: nothing was done that could be lost.
  if [ "$stops" -gt 0 ] && [ "$status" -eq $((128 + $(kill -l USR1))) ]; then status=75; fi
  # 64 and 65 would fail again, and 75 is a stop that was asked for.
  case $status in 0 | 64 | 65 | 75) exit "$status" ;; esac
  [ -z "$hostfile" ] || end_on_hosts "$hostfile" "$jobs"
  if [ "$restarts" -eq 0 ] || [ "$stops" -gt 0 ] || [ "${command[0]}" != train ]; then exit "$status"; fi
  after=$(newest)
  if [ "$after" != "$before" ]; then
    stuck=0 pause=$backoff
  else
    stuck=$((stuck + 1))
    if [ "$stuck" -gt 1 ]; then
      say "no progress: the last $stuck starts failed before a new checkpoint (newest: ${after:-none}); see above for the cause"
      longer
    fi
  fi
  [[ " ${command[*]} " == *" --resume "* ]] || command+=(--resume)
  rest "ended with status $status; resuming"
done
