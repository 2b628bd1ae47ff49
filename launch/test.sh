#!/usr/bin/env bash
# Installs what is missing, lints, builds, and runs all tests, those under mpirun included; then the example of a package of its own,
# the library's documentation, and at last a run that is killed three times.
set -euo pipefail
cd "$(dirname "$0")/.."

# Tests on a cluster in a box are root's; for others they are skipped.
if [ "$(id -u)" -eq 0 ]; then ./launch/install-deps.sh --cluster; else ./launch/install-deps.sh; fi
swift format lint --strict --recursive Package.swift Sources Tests Docs/Examples
swift build --build-tests
swift test --skip-build
# In the same scratch folder: what the package has built is not built again.
swift run --package-path Docs/Examples/CustomRouting --scratch-path .build CustomRouting Docs/Examples/CustomRouting/custom.yaml
./launch/docs.sh
STRATA=$(swift build --show-bin-path)/strata ./launch/chaos.sh --kills 3
