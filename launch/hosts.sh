# Functions of launch/run.sh: the hosts of a hostfile, reached over ssh. Nothing here waits longer than some seconds for a host.
# shellcheck shell=bash

# The lines of a hostfile that name hosts.
host_lines() { sed 's/#.*//; s/^[[:space:]]*//; /^$/d' "$1"; }

# The hosts of a hostfile, each once.
host_names() { host_lines "$1" | awk '!seen[$1]++ { print $1 }'; }

is_this_host() {
  local name=${1#*@} address
  case $name in localhost | "$(uname -n)" | "$(uname -n | cut -d . -f 1)") return 0 ;; esac
  address=$(timeout 3 getent ahostsv4 "$name" | awk 'NR == 1 { print $1 }') || return 1
  [[ $address == 127.* || " $(hostname -I 2>/dev/null) " == *" ${address:-none} "* ]]
}

# Runs a script of bash, given as text, with arguments without blanks on a host. Fails if the host does not answer.
on_host() {
  local host=$1 script=$2
  shift 2
  if is_this_host "$host"; then
    bash -s -- "$@" <<<"$script"
  else
    timeout 8 ssh -o BatchMode=yes -o ConnectTimeout=3 "$host" bash -s -- "$@" <<<"$script"
  fi
}

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

# The lines of a hostfile whose hosts answer, each after the number of its slots: the host's cores, if none are said.
answering() {
  local number=0 line
  while read -r line; do
    number=$((number + 1))
    {
      cores=$(on_host "${line%%[[:space:]]*}" "$(declare -f allowed_cores); allowed_cores" 2>/dev/null) || exit 0
      [[ $line =~ (^|[[:space:]])slots[[:space:]]*=[[:space:]]*([0-9]+) ]] && cores=${BASH_REMATCH[2]}
      echo "$number $cores $line"
    } &
  done < <(host_lines "$1") | sort -n | cut -d ' ' -f 2-
}

# Kills what jobs have left on the other hosts that answer: ranks, known by the name of their job in the environment, which is
# `jobs`, a dot and a number, and the daemons that have started them.
end_on_hosts() {
  local hostfile=$1 jobs=$2 host
  # shellcheck disable=SC2016 # expanded there
  local script='
    for file in $(grep -lsz "^STRATA_JOB=$1\." /proc/[0-9]*/environ); do
      process=${file#/proc/} process=${process%/environ}
      parent=$(sed -n "s/^PPid:[[:space:]]*//p" "/proc/$process/status" 2>/dev/null)
      [ "$(cat "/proc/$parent/comm" 2>/dev/null)" != orted ] || kill -KILL "$parent"
      kill -KILL "$process"
    done'
  (
    for host in $(host_names "$hostfile"); do
      if ! is_this_host "$host"; then on_host "$host" "$script" "$jobs" >/dev/null 2>&1 & fi
    done
    wait
  )
}
