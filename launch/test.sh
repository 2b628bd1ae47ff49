#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests, those under mpirun included.
set -euo pipefail
cd "$(dirname "$0")/.."

./launch/install-deps.sh
swift build --build-tests
swift test --skip-build
