#!/usr/bin/env bash
# Kills a training over and over, and holds it to the result of one that was left alone.
set -euo pipefail

usage() {
  cat <<'END'
usage: launch/chaos.sh --kills N [--ranks 2|3|4] [--hosts H] [--seed S]

Trains a small model twice under launch/run.sh, on the same number of ranks: undisturbed, and with N kills of a random rank or
of mpirun (SIGKILL) at random moments: between updates, in the middle of writing a checkpoint, while starting. After each kill
every committed checkpoint must be bit for bit that of the undisturbed run, and the newest one that was reported must be there;
every start must resume from it or a later one. In the end parameters, optimizer state and losses must be the same bits.

With --hosts the ranks run on as many hosts (at most as many as ranks) of a cluster in a box, which needs what
launch/cluster.sh says. Then kills are also of a daemon of Open MPI on another host, and of the link of another host, which
comes up again when the job has ended.

STRATA=PATH names the build; the default is the release build. Ends with 0 if all of this holds.
END
}

kills='' ranks=2 hosts=1 seed=7
while [ $# -gt 0 ]; do
  case $1 in
    --kills | --ranks | --hosts | --seed) [ $# -ge 2 ] || { echo "chaos.sh: $1 needs a value; see --help" >&2; exit 64; } ;;
  esac
  case $1 in
    --kills) kills=$2; shift 2 ;;
    --ranks) ranks=$2; shift 2 ;;
    --hosts) hosts=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --help | -h) usage; exit 0 ;;
    *) echo "chaos.sh: unknown option $1; see --help" >&2; exit 64 ;;
  esac
done
if ! [[ $kills =~ ^[1-9][0-9]*$ && $ranks =~ ^[234]$ && $hosts =~ ^[1234]$ && $hosts -le $ranks && $seed =~ ^[0-9]+$ ]]; then
  usage >&2
  exit 64
fi

root=$(cd "$(dirname "$0")/.." && pwd)
export STRATA=${STRATA:-$(swift build -c release --package-path "$root" --show-bin-path)/strata}
# There may be more ranks than cores: those that wait give way.
export OMPI_MCA_mpi_yield_when_idle=1
# Every draw below is of this generator.
RANDOM=$seed

folder=$(mktemp -d)
checkpoints=$folder/chaos/checkpoints
log=$folder/chaos.log
runner=''
recoveries=0
launch=("$root/launch/run.sh")
end() {
  [ -z "$runner" ] || { kill -TERM "$runner"; sleep 0.2; kill -TERM "$runner"; } 2>/dev/null || true
  [ "$hosts" -eq 1 ] || cluster down || true
}
trap end EXIT
fail() {
  echo "chaos.sh: $1; the runs and their logs are in $folder" >&2
  echo "$recoveries of $kills recoveries; FAILED" >&2
  exit 1
}

cluster() { STRATA_CLUSTER=$folder/cluster "$root/launch/cluster.sh" "$@"; }
if [ "$hosts" -gt 1 ]; then
  slots=$(((ranks + hosts - 1) / hosts))
  cluster up "$hosts" --slots "$slots" >"$folder/cluster.log" 2>&1 || fail "$(tail -n 1 "$folder/cluster.log")"
  launch=(env "STRATA_CLUSTER=$folder/cluster" "$root/launch/cluster.sh" run)
fi

per_life=30
updates=$(((kills + 2) * per_life))
cat >"$folder/config.yaml" <<END
model:
  dim: 16
  ffn_dim: 32
  heads: 2
  encoder_layers: 2
  decoder_layers: 2
  dropout: 0.1
  attention_dropout: 0.1
  moe: {every: 2, strata: [2, 2]}
data:
  format: numerals
  prepared: $folder/prepared
  vocabulary: 120
  numerals: {below: 2000, languages: [cat, isl], pairs: 200, validation: 8, test: 6}
training: {updates: $updates, token_groups: 4, tokens_per_group: 150, learning_rate: 2.0e-3, warmup: 50, validate_every: 100}
parallel: {threads_per_rank: 1, watchdog_seconds: 20, watchdog_abort_seconds: 60}
checkpoint: {every: 5, keep: 3}
END
"$STRATA" prepare "$folder/config.yaml" >"$folder/prepare.log" 2>&1 || fail "preparing the data failed"
"${launch[@]}" -n "$ranks" -- train "$folder/config.yaml" --out "$folder/whole" --set checkpoint.keep=1000000 \
  >"$folder/whole.log" 2>&1 || fail "the undisturbed run failed"

# Does a command until it succeeds; fails after a minute and a half, or when the run has ended.
await() {
  local deadline=$((SECONDS + 90)) what=$1
  shift
  until "$@"; do
    kill -0 "$runner" 2>/dev/null || fail "the run ended while the script waited for $what"
    [ "$SECONDS" -lt "$deadline" ] || fail "there was no $what for 90 s"
    sleep 0.01
  done
}

# Sets job to mpirun and its ranks, on whatever host they are, if all are there and mpirun is not that of an earlier life; and
# daemons to those that have started ranks on other hosts.
job=() daemons=() former=''
has_started() {
  local file process parent launcher='' found=() parents=()
  for file in $(grep -lszxF -- "$folder/chaos" /proc/[0-9]*/cmdline); do
    process=${file#/proc/} process=${process%/cmdline}
    case $(cat "/proc/$process/comm" 2>/dev/null) in
      mpirun) launcher=${launcher:-$process} ;;
      "${STRATA##*/}")
        found+=("$process")
        parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$process/status" 2>/dev/null) || continue
        [ "$(cat "/proc/$parent/comm" 2>/dev/null)" != orted ] || parents+=("$parent") ;;
    esac
  done
  [ -n "$launcher" ] && [ "$launcher" != "$former" ] && [ ${#found[@]} -eq "$ranks" ] || return 1
  job=("$launcher" "${found[@]}") daemons=()
  [ ${#parents[@]} -eq 0 ] || mapfile -t daemons < <(printf '%s\n' "${parents[@]}" | sort -u)
}

# What this life has written to the log.
offset=0
said() { tail -c +$((offset + 1)) "$log" | grep -q "$1"; }

has_reached() {
  local last
  last=$(tail -c 2000 "$folder/chaos/metrics.jsonl" 2>/dev/null | tail -n 2 | head -n 1) || return 1
  [[ $last =~ \"update\":([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge "$1" ]
}

is_saving() { compgen -G "$checkpoints/*.partial" >/dev/null; }

# The number of the newest checkpoint that a life has reported, and that a later one has resumed from; 0 if none.
reported() { newest_of 's|^checkpoint .*/step-0*\([0-9]*\) .*|\1|p'; }
resumed() { newest_of 's|^resuming from .*/step-0*\([0-9]*\)$|\1|p'; }
newest_of() { sed -n "$1" "$log" | tail -n 1 | grep . || echo 0; }

# Whether these processes have ended; without arguments those of the job.
has_ended() {
  local process
  for process in "${@:-${job[@]}}"; do
    # One that nobody has collected yet is there, but has no arguments.
    if { IFS= read -r -d '' _ <"/proc/$process/cmdline"; } 2>/dev/null; then return 1; fi
  done
}

# The newest checkpoint that any life has reported must be what later ones resume from, or an older one.
promised=0
check_resumed() {
  said '^resuming from ' || return 0
  [ "$(resumed)" -ge "$promised" ] || fail "update $promised was reported, but training went on from $(resumed)"
}

# Every committed checkpoint against the undisturbed run's. A life that has begun again may remove old ones.
check_checkpoints() {
  local path name file
  for path in "$checkpoints"/step-*; do
    [[ $path =~ /(step-[0-9]+)$ ]] || continue
    name=${BASH_REMATCH[1]}
    # Between those that are due: Open MPI's own SIGTERM, before it kills, is a request to stop.
    [ -d "$folder/whole/checkpoints/$name" ] || [ $((10#${name#step-} % 5)) -eq 0 ] || continue
    for file in "$folder/whole/checkpoints/$name"/*.safetensors; do
      cmp -s "$file" "$path/${file##*/}" || [ ! -e "$path/manifest.json" ] || fail "after kill $1: $path/${file##*/} differs"
    done
  done
}

"${launch[@]}" -n "$ranks" --max-restarts $((10 * kills)) --backoff 0 -- train "$folder/config.yaml" --out "$folder/chaos" \
  >"$log" 2>&1 &
runner=$!

# Takes the link of a host down until mpirun has ended, and up again. Ranks that are left there run.sh must find.
cut_link() {
  cluster cut "$1"
  await "end of life $k, whose link was cut" has_ended "${job[0]}"
  cluster heal "$1"
}

saves=0 starts=0 launchers=0 daemon_kills=0 cuts=0
for ((k = 1; k <= kills; k++)); do
  await "start of life $k" has_started
  case $((RANDOM % 8)) in
    0)
      # While it starts: MPI, the lock, reading the checkpoint, or soon after.
      [ "$k" -gt 1 ] || await "first checkpoint" test -e "$checkpoints/latest"
      sleep "0.$((RANDOM % 9))"
      starts=$((starts + 1)) ;;
    1 | 2 | 3)
      await "layout line of life $k" said 'rank(s) = '
      await "update $((k * per_life - 15))" has_reached $((k * per_life - 15))
      await "save of life $k" is_saving ;;
    *)
      await "layout line of life $k" said 'rank(s) = '
      moment=$((k * per_life - RANDOM % 20))
      await "update $moment" has_reached "$moment"
      sleep "0.00$((RANDOM % 10))" ;;
  esac
  # mpirun, a rank, a daemon, or a link of a host but the first.
  victim=$((RANDOM % (ranks + 1 + ${#daemons[@]} + hosts - 1)))
  former=${job[0]}
  if [ "$victim" -le "$ranks" ]; then
    kill -KILL "${job[victim]}" 2>/dev/null || fail "kill $k met no process"
    [ "$victim" -gt 0 ] || launchers=$((launchers + 1))
  elif [ $((victim -= ranks + 1)) -lt ${#daemons[@]} ]; then
    kill -KILL "${daemons[victim]}" 2>/dev/null || fail "kill $k met no daemon"
    daemon_kills=$((daemon_kills + 1))
  else
    cut_link $((victim - ${#daemons[@]} + 2))
    cuts=$((cuts + 1))
  fi
  await "end of life $k" has_ended
  if is_saving; then saves=$((saves + 1)); fi
  check_resumed
  newest=$(reported)
  promised=$((newest > promised ? newest : promised))
  [ "$promised" -eq 0 ] || [ -e "$checkpoints/$(printf 'step-%08d' "$promised")/manifest.json" ] ||
    fail "after kill $k: the checkpoint of update $promised was reported, but is not there"
  check_checkpoints "$k"
  offset=$(stat -c %s "$log")
  if [ "$k" -lt "$kills" ]; then await "restart after kill $k" has_started; fi
  recoveries=$k
done

status=0
wait "$runner" || status=$?
runner=''
check_resumed
[ "$status" -eq 0 ] || fail "the killed run ended with status $status"

last=$(printf 'step-%08d' "$updates")
for file in "$folder/whole/checkpoints/$last"/*.safetensors; do
  cmp "$file" "$checkpoints/$last/${file##*/}" || fail "final parameters or optimizer state differ"
done
for run in whole chaos; do
  sed -E 's/"(tokens_per_second|flops_utilization|seconds_left)":[^,}]*//g' "$folder/$run/metrics.jsonl" >"$folder/$run.metrics"
done
cmp "$folder/whole.metrics" "$folder/chaos.metrics" || fail "metrics differ"
if grep -q '^warning: ' "$log"; then fail "a start found a damaged checkpoint"; fi

rm -rf "$folder"
where="$ranks ranks"
[ "$hosts" -eq 1 ] || where+=" of $hosts hosts"
also=''
[ "$hosts" -eq 1 ] || also=", $daemon_kills of a daemon, $cuts of a link"
echo "$kills kills on $where: $launchers of mpirun$also, $saves in the middle of a save, $starts while starting"
echo "$recoveries of $kills recoveries; final parameters bit-identical"
