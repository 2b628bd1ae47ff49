#!/usr/bin/env bash
# Shows whether two builds of strata compute the same, to the bit.
#
#   launch/same-bits.sh OLD NEW [FOLDER]
#
# Trains short runs of several methods, on one rank and on several, with both programs, and compares SHA-256 of the parameters
# with their moments and of the losses and routing figures. Both read the same prepared data, made by OLD where FOLDER does not
# hold them yet. FOLDER keeps runs and logs; without it they go to a temporary folder that is removed.
# Status 0 if all are the same, 1 if not, 64 for wrong usage. Takes a minute or two.
set -euo pipefail

usage() {
  sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
  exit 64
}
case "${1:-}" in -h | --help | "") usage ;; esac
[ $# -ge 2 ] && [ $# -le 3 ] || usage
old=$(realpath "$1") new=$(realpath "$2")
for program in "$old" "$new"; do
  [ -x "$program" ] || { echo "same-bits.sh: $program must be a build of strata, but cannot be run" >&2; exit 64; }
done
if [ $# = 3 ]; then
  folder=$3
  mkdir -p "$folder"
else
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
fi
cd "$folder"

cat >same-bits.yaml <<'YAML'
model: {dim: 64, ffn_dim: 128, heads: 4, encoder_layers: 2, decoder_layers: 2, dropout: 0.1, attention_dropout: 0.1,
        moe: {every: 2, strata: [2, 2, 2, 2]}}
data:
  format: numerals
  prepared: data
  vocabulary: 300
  numerals: {below: 10000, languages: [cat, isl], pairs: 2000, validation: 20, test: 20}
training: {updates: 15, token_groups: 3, tokens_per_group: 600, learning_rate: 2.0e-3, warmup: 10, validate_every: 5}
parallel: {threads_per_rank: 2}
checkpoint: {every: 10, keep: 2}
YAML
if [ ! -f data/manifest.json ]; then
  echo "preparing data" >&2
  "$old" prepare same-bits.yaml >prepare.log 2>&1 || { tail -3 prepare.log >&2; exit 1; }
fi

# name, ranks, keys that differ from the configuration above
runs() {
  cat <<'RUNS'
dense 1 model.moe=none
smoe 1
smoe-4-ranks 4 model.moe.strata=[4,4]
smoe-2-ranks-shared 2 parallel.shard_optimizer=true
best 2 model.moe.second_expert=best
random-dropless 1 model.moe.second_expert=random model.moe.capacity_factor=none model.moe.gate_normalization=never
switch 2 model.moe.strata=8 model.moe.top_k=1 model.moe.capacity_factor=1
stacked 2 model.moe.strata=[4,4] model.moe.stacked=true
expert-choice 2 model.moe.strata=[4,4] model.moe.routing=expert_choice
forced-balanced 2 model.moe.routing=forced_balanced
conditional-masked 2 model.moe.strata=4 model.moe.conditional_routing.budget=0.8 model.moe.expert_output_masking=0.1
bias-balanced 2 model.moe.bias_balancing_rate=0.01 model.moe.second_expert=best model.moe.batch_prioritized=true
shared-experts 2 model.moe.shared_experts=2 model.moe.router_z_loss=0.001 model.moe.gating_dropout=0.3
recompute 2 training.recompute=true
RUNS
}

# Parameters and moments of the last checkpoint, shard after shard: both programs run on as many ranks.
tensors() { cat "$1"/checkpoints/"$(cat "$1"/checkpoints/latest)"/shard-*.safetensors | sha256sum | cut -c1-16; }

# All figures but what the clock says.
figures() { sed -E 's/"(tokens_per_second|flops_utilization|seconds_left)":[^,}]*,?//g' "$1"/metrics.jsonl | sha256sum | cut -c1-16; }

# Trains a run with one of the programs; prints its two sums.
sums() {
  local program=$1 out=$2 ranks=$3
  shift 3
  local arguments=()
  for key in "$@"; do arguments+=(--set "$key"); done
  [ "$ranks" = 1 ] || arguments+=(--simulate-ranks "$ranks")
  rm -rf "$out"
  if ! "$program" train same-bits.yaml --out "$out" "${arguments[@]}" >"$out.log" 2>&1; then
    echo "failed: $(tail -1 "$out.log")"
    return
  fi
  echo "$(tensors "$out") $(figures "$out")"
}

differences=0
printf '%-20s %-17s %-17s\n' run tensors figures
while read -r name ranks keys; do
  # Keys hold no spaces.
  # shellcheck disable=SC2086
  was=$(sums "$old" "old-$name" "$ranks" $keys)
  # shellcheck disable=SC2086
  is=$(sums "$new" "new-$name" "$ranks" $keys)
  if [ "$was" = "$is" ] && [ "${was#failed}" = "$was" ]; then
    printf '%-20s %-17s %-17s same\n' "$name" $is
  else
    differences=$((differences + 1))
    printf '%-20s %s\n%-20s %s  DIFFERENT\n' "$name" "$was" "" "$is"
  fi
done < <(runs)
if [ "$differences" = 0 ]; then echo "all the same, to the bit"; else echo "$differences differ"; exit 1; fi
