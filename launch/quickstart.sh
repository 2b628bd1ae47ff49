#!/usr/bin/env bash
# From nothing to translations: installs, builds, prepares the embedded corpus, trains on 2 MPI ranks, evaluates, translates,
# and draws where capacity goes. The run stays in runs/quickstart.
set -euo pipefail
cd "$(dirname "$0")/.."

config=configs/quickstart.yaml
run=runs/quickstart

step() { printf '\n== %s\n' "$1"; }

step "Libraries"
./launch/install-deps.sh

step "Build"
swift build -c release --product strata
strata=$(swift build -c release --show-bin-path)/strata

step "Prepare the corpus: numbers written out in eight languages"
"$strata" prepare "$config"

step "Train on 2 MPI ranks"
# A checkpoint says only that training has begun.
if [ -e "$run/.trained" ]; then
  echo "$run is already trained; remove the folder to train again"
else
  ./launch/run.sh -n 2 -- train "$config" --out "$run" --resume
  touch "$run/.trained"
fi

step "Evaluate on held-out numbers"
./launch/run.sh -n 2 -- evaluate "$run" --samples 1

step "Translate"
for pair in eng-cat:"forty-two thousand seven hundred nineteen" eng-isl:"eight thousand fifteen" cat-eng:"vuitanta-vuit mil tres"; do
  printf '%s  %s → ' "${pair%%:*}" "${pair#*:}"
  echo "${pair#*:}" | "$strata" translate "$run" --direction "${pair%%:*}"
done

step "Report"
./launch/run.sh -n 2 -- analyze "$run" >/dev/null
"$strata" report "$run"

cat <<END

Open $run/report.html in a browser: curves, expert load, where capacity goes.
The run is in $run: config.yaml, metrics.jsonl (a line an update) and checkpoints/.
Translate with:  echo "seventy-one" | $strata translate $run --direction eng-cat
END
