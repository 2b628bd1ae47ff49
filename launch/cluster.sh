#!/usr/bin/env bash
# A cluster in a box: hosts that are namespaces of this machine, to try what happens between hosts on a machine of one's own.
set -euo pipefail

usage() {
  cat <<'END'
usage: launch/cluster.sh COMMAND

  up N [--rate RATE] [--slots K]   N hosts, node1 to nodeN, each with K slots (default 1) in the cluster's hostfile, and links
                                   of RATE (as tc writes it, 100mbit or 1gbit; default: as fast as the machine)
  exec I -- COMMAND …              on node I
  run -n RANKS [options] -- …      launch/run.sh on node 1, with the cluster's hostfile
  shape RATE|none [I]              the rate of all links, or of node I's
  cut I, heal I                    the link of node I goes down, comes up
  status                           hosts, addresses and links
  down                             ends all hosts and what runs on them
  check                            ends with 0 if this machine can have such a cluster, else says why not

A host has a name, a network, processes and an sshd of its own, and reaches the others by ssh; files, cores and memory are those
of the machine, so ranks are not bound to cores. Nothing of the machine's own network is touched, and no network but the
cluster's is seen from a host. Needs Linux, root, iproute2, util-linux and openssh-server.

STRATA_CLUSTER names the folder of the cluster's keys and hostfile (default /tmp/strata-cluster): another, another cluster.

example: launch/cluster.sh up 2 --rate 1gbit && launch/cluster.sh run -n 2 -- train configs/quickstart.yaml --out runs/two
END
}

say() { echo "cluster.sh: $1" >&2; }
fail() { say "$1"; exit 64; }

here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
state=${STRATA_CLUSTER:-/tmp/strata-cluster}
[[ $state =~ ^/[A-Za-z0-9._/-]+$ ]] || fail "STRATA_CLUSTER must be an absolute path of letters, digits, ._-, but is '$state'"

is_number() { [[ $1 =~ ^[1-9][0-9]{0,2}$ ]]; }
is_rate() { [[ $1 =~ ^[1-9][0-9]*(kbit|mbit|gbit)$ ]]; }

check() {
  local program absent=()
  [ "$(uname -s)" = Linux ] || { say "needs Linux, but this is $(uname -s)"; return 70; }
  for program in ip:iproute2 tc:iproute2 sshd:openssh-server ssh:openssh-client unshare:util-linux nsenter:util-linux; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${program%:*}" >/dev/null || absent+=("${program#*:}")
  done
  if [ ${#absent[@]} -gt 0 ]; then
    say "$(printf '%s\n' "${absent[@]}" | sort -u | paste -sd ' ') must be installed: launch/install-deps.sh --cluster"
    return 70
  fi
  [ "$(id -u)" -eq 0 ] || { say "must be run as root: namespaces and links are root's to make"; return 70; }
  if ! unshare --net --uts --mount --pid --ipc --fork --mount-proc ip link add link0 type bridge 2>/dev/null; then
    say "this machine lets even root make no namespaces and bridges: a container needs --privileged"
    return 70
  fi
}

# The first process of each host, as lines "number process"; number 0 has the switch. They are known by their arguments, which
# no other process has: nothing that was recorded can be of yesterday.
hosts() {
  local file words
  for file in /proc/[0-9]*/cmdline; do
    { mapfile -d '' -t words <"$file"; } 2>/dev/null || continue
    [ "${words[2]:-}" = host-process ] && [ "${words[3]:-}" = "$state" ] || continue
    file=${file%/cmdline}
    echo "${words[4]} ${file#/proc/}"
  done | sort -n
}

process_of() { hosts | sed -n "s/^$1 //p"; }

# The process of a host that the user has named.
named() {
  local process
  is_number "$1" || fail "a host must be a number, but is '$1'; see --help"
  process=$(process_of "$1")
  [ -n "$process" ] || fail "there is no node$1: $(summary)"
  echo "$process"
}

summary() {
  local count
  count=$(hosts | grep -cv '^0 ' || true)
  if [ "$count" -gt 0 ]; then echo "the cluster has node1 to node$count"; else echo "no cluster is up"; fi
}

# A command in the namespaces of a process, in the folder where this script was called.
within() {
  local process=$1
  shift
  nsenter --target "$process" --net --uts --mount --pid --ipc -- bash -c 'cd "$0" && exec "$@"' "$PWD" "$@"
}

# What a host's first process does: it is the host's init.
host_process() {
  local number=$1
  export PATH=$PATH:/usr/sbin:/sbin
  if [ "$number" -eq 0 ]; then
    # Without a wait before links forward.
    ip link add switch type bridge forward_delay 0
    ip link set switch up
  else
    # Of its own, so that nothing is left on the machine.
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /dev/shm
    mkdir /run/sshd
    mount --bind "$state/hosts" /etc/hosts
    mount --bind "$state/ssh_config" /etc/ssh/ssh_config
    echo "node$number" >/proc/sys/kernel/hostname
    ip link set lo up
    "$(command -v sshd)" -f "$state/sshd_config" -E "$state/node$number.log"
  fi
  touch "$state/node$number.ready"
  # An init collects the processes that others have left.
  while :; do sleep 1000 & wait; done
}

start_host() {
  setsid unshare --net --uts --mount --pid --ipc --fork --kill-child --mount-proc \
    bash "$here/cluster.sh" host-process "$state" "$1" >"$state/node$1.log" 2>&1 </dev/null &
}

# Does a command until it succeeds, for at most 15 seconds.
await() {
  local deadline=$((SECONDS + 15))
  until "$@" 2>/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.05
  done
}

# A link from the switch to a host: port I there, eth0 here.
connect() {
  local switch=$1 number=$2 process=$3
  nsenter --target "$switch" --net ip link add "port$number" type veth peer name eth0 netns "$process"
  nsenter --target "$switch" --net ip link set "port$number" master switch up
  nsenter --target "$process" --net ip address add "10.0.0.$number/24" dev eth0
  nsenter --target "$process" --net ip link set eth0 up
}

# Both directions of a host's link. A burst is what the rate brings in 4 ms, as the kernel's clock wants it.
shape_link() {
  local switch=$1 number=$2 process=$3 rate=$4 bits burst end device
  for end in "$switch port$number" "$process eth0"; do
    device=${end#* }
    if [ "$rate" = none ]; then
      nsenter --target "${end% *}" --net tc qdisc delete dev "$device" root 2>/dev/null || true
      continue
    fi
    bits=${rate%?bit}
    case $rate in *kbit) bits=$((bits * 1000)) ;; *mbit) bits=$((bits * 1000000)) ;; *gbit) bits=$((bits * 1000000000)) ;; esac
    burst=$((bits / 8 / 250 > 32768 ? bits / 8 / 250 : 32768))
    nsenter --target "${end% *}" --net tc qdisc replace dev "$device" root tbf rate "$rate" burst "$burst" latency 50ms
  done
}

write_files() {
  local count=$1 slots=$2 number
  # The folder holds a key to root's account: of root, and closed to others.
  mkdir -p "${state%/*}"
  mkdir -m 700 "$state" || { say "remove $state, or name another folder by STRATA_CLUSTER"; return 70; }
  touch "$state/strata-cluster"
  ssh-keygen -q -t ed25519 -N '' -C strata-cluster -f "$state/key"
  ssh-keygen -q -t ed25519 -N '' -C strata-cluster -f "$state/host_key"
  echo "127.0.0.1 localhost" >"$state/hosts"
  for ((number = 1; number <= count; number++)); do
    echo "10.0.0.$number node$number" >>"$state/hosts"
    echo "node$number slots=$slots" >>"$state/hostfile"
  done
  cat >"$state/sshd_config" <<END
HostKey $state/host_key
AuthorizedKeysFile $state/key.pub
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxStartups 200
END
  cat >"$state/ssh_config" <<END
Host *
  IdentityFile $state/key
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
END
}

up() {
  local count=${1:-} rate=none slots=1 number switch process
  is_number "$count" && [ "$count" -le 200 ] || fail "up: the number of hosts must be 1 to 200, but is '$count'; see --help"
  shift
  while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || fail "$1 needs a value; see --help"
    case $1 in
      --rate) rate=$2 ;;
      --slots) slots=$2 ;;
      *) fail "unknown option $1; see --help" ;;
    esac
    shift 2
  done
  is_number "$slots" || fail "--slots must be a number, but is '$slots'"
  [ "$rate" = none ] || is_rate "$rate" || fail "--rate must be a number and kbit, mbit or gbit, but is '$rate'"
  check
  [ -z "$(hosts)" ] || fail "already up: $(summary); launch/cluster.sh down ends it"
  # What a cluster has left that ended with the machine.
  remove_files
  # Half a cluster is none.
  trap 'say "ended half-way: taking down what was there"; down' EXIT
  trap 'exit 130' INT TERM
  write_files "$count" "$slots"
  for ((number = 0; number <= count; number++)); do start_host "$number"; done
  for ((number = 0; number <= count; number++)); do
    await test -e "$state/node$number.ready" || { say "node$number does not start: $(<"$state/node$number.log")"; return 70; }
  done
  switch=$(process_of 0)
  while read -r number process; do
    [ "$number" -gt 0 ] || continue
    connect "$switch" "$number" "$process"
    [ "$rate" = none ] || shape_link "$switch" "$number" "$process" "$rate"
  done < <(hosts)
  for ((number = 1; number <= count; number++)); do
    await within "$(process_of 1)" ssh -n -o BatchMode=yes -o ConnectTimeout=2 "node$number" true ||
      { say "node$number does not answer ssh: $(tail -n 3 "$state/node$number.log")"; return 70; }
  done
  trap - EXIT
  echo "$(summary); hostfile $state/hostfile"
}

down() {
  local number process count=0
  while read -r number process; do
    # The first process of a host takes all others of the host with it.
    kill -KILL "$process" 2>/dev/null || true
    count=$((count + 1))
  done < <(hosts)
  gone() { [ -z "$(hosts)" ]; }
  await gone || { say "processes do not end: $(hosts | paste -sd ' ')"; return 70; }
  remove_files
  [ "$count" -gt 0 ] || echo "no cluster is up"
}

# Only what `up` has made.
remove_files() { if [ -f "$state/strata-cluster" ] && [ -O "$state" ]; then rm -rf "$state"; fi; }

set_link() {
  named "$1" >/dev/null
  nsenter --target "$(process_of 0)" --net ip link set "port$1" "$2"
}

shape() {
  local rate=${1:-} only=${2:-} switch number process
  [ "$rate" = none ] || is_rate "$rate" || fail "shape: must be none, or a number and kbit, mbit or gbit, but is '$rate'"
  if [ -n "$only" ]; then named "$only" >/dev/null; fi
  switch=$(process_of 0)
  [ -n "$switch" ] || fail "$(summary)"
  while read -r number process; do
    if [ "$number" -eq 0 ] || { [ -n "$only" ] && [ "$number" != "$only" ]; }; then continue; fi
    shape_link "$switch" "$number" "$process" "$rate"
  done < <(hosts)
}

status() {
  local switch number process link rate
  switch=$(process_of 0)
  summary
  while read -r number process; do
    [ "$number" -gt 0 ] || continue
    link=up
    nsenter --target "$switch" --net ip -o link show "port$number" | grep -q '[<,]UP[,>]' || link=cut
    rate=$(nsenter --target "$switch" --net tc qdisc show dev "port$number" | sed -n 's/.* rate \([^ ]*\) .*/, \1/p')
    echo "node$number  10.0.0.$number  link $link$rate"
  done < <(hosts)
}

# launch/run.sh on the first host. Signals are passed on: a process in another namespace does not see them otherwise.
run() {
  local first entered status=0
  first=$(named 1)
  # Several hosts share the cores: a rank that waits gives way, and none has cores of its own.
  export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1
  within "$first" env --default-signal=INT "$here/run.sh" --hostfile "$state/hostfile" "$@" <&0 &
  entered=$!
  pass_on() {
    local child words
    for child in $(descendants "$entered"); do
      { mapfile -d '' -t words <"/proc/$child/cmdline"; } 2>/dev/null || continue
      [ "${words[1]:-}" = "$here/run.sh" ] || continue
      kill -USR1 "$child" 2>/dev/null || true
      return 0
    done
  }
  trap pass_on TERM INT USR1
  wait "$entered" || status=$?
  # A signal interrupts wait.
  while kill -0 "$entered" 2>/dev/null; do status=0; wait "$entered" || status=$?; done
  return "$status"
}

descendants() {
  local child
  for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
    echo "$child"
    descendants "$child"
  done
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
  --help | -h) usage ;;
  check | down | status)
    [ $# -eq 0 ] || fail "$command takes no arguments; see --help"
    [ "$command" != down ] || [ "$(id -u)" -eq 0 ] || fail "must be run as root"
    "$command" ;;
  up | shape | run) "$command" "$@" ;;
  cut | heal)
    [ $# -eq 1 ] || fail "$command takes the number of a host; see --help"
    if [ "$command" = cut ]; then set_link "$1" down; else set_link "$1" up; fi ;;
  exec)
    [ $# -ge 3 ] && [ "$2" = -- ] || fail "exec takes the number of a host, -- and a command; see --help"
    process=$(named "$1")
    shift 2
    within "$process" "$@" ;;
  host-process) host_process "$2" ;;
  '') usage >&2; exit 64 ;;
  *) fail "unknown command $command; see --help" ;;
esac
