#!/usr/bin/env bash
# Builds the documentation of the library MixtureOfExperts: its articles and the symbols that it declares. A warning is an error.
#
#   launch/docs.sh [OUTPUT]     OUTPUT: the documentation archive, .build/MixtureOfExperts.doccarchive if left out;
#                               `docc preview` or any web server shows it
set -euo pipefail
cd "$(dirname "$0")/.."

output=${1:-.build/MixtureOfExperts.doccarchive}
swift build --target MixtureOfExperts
build=$(swift build --show-bin-path)

symbols=$(mktemp -d)
trap 'rm -rf "$symbols"' EXIT
# The modules in C that the library's own import.
maps=()
for map in Sources/*/module.modulemap "$build"/*.build/module.modulemap; do
  [[ -e $map ]] && maps+=(-Xcc "-fmodule-map-file=$map")
done
swift symbolgraph-extract -module-name MixtureOfExperts -minimum-access-level public -skip-inherited-docs \
  -target "$(swift -print-target-info | sed -n 's/.*"unversionedTriple": "\(.*\)".*/\1/p')" \
  -I "$build/Modules" "${maps[@]}" -output-dir "$symbols"
docc convert Sources/MixtureOfExperts/MixtureOfExperts.docc --warnings-as-errors \
  --fallback-display-name MixtureOfExperts --fallback-bundle-identifier strata.MixtureOfExperts \
  --additional-symbol-graph-dir "$symbols" --output-path "$output"
echo "$output"
