#!/usr/bin/env bash
# Installs what is missing, lints, builds, and runs all tests, those under mpirun included; at last a run that is killed three times.
set -euo pipefail
cd "$(dirname "$0")/.."

./launch/install-deps.sh
swift format lint --strict --recursive Package.swift Sources Tests
swift build --build-tests
swift test --skip-build
STRATA=$(swift build --show-bin-path)/strata ./launch/chaos.sh --kills 3
