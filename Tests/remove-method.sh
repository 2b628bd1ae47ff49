#!/usr/bin/env bash
# The stranger's test: without a method's file, its line in All.swift and its own tests, the rest builds, and the tests of the
# frame, of the other methods and of the model pass. For each method that is named, such as
#
#     Tests/remove-method.sh ExpertOutputMasking RouterZLoss
#
# In a copy of the package, which is built anew: many minutes, so launch/test.sh leaves it out. Run it by hand after a change to
# the frame. Lines by which tests of other targets set a value of the method are taken out too, and shown.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "usage: $0 METHOD…" >&2; exit 64; }
for method in "$@"; do
    [ -f "Sources/MixtureMethods/$method.swift" ] || { echo "there is no Sources/MixtureMethods/$method.swift" >&2; exit 64; }
done

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for method in "$@"; do
    git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
        [ ! -f "$file" ] || printf '%s\0' "$file"
    done | tar --create --null --files-from=- | tar --extract --directory "$copy"
    (
        cd "$copy"
        echo "== without $method"
        rm "Sources/MixtureMethods/$method.swift" "Tests/MixtureMethodsTests/${method}Tests.swift"
        sed -i "/^ *$method(),$/d" Sources/MixtureMethods/All.swift
        grep -rnw --include='*.swift' "$method" Sources && { echo "Sources still name $method" >&2; exit 1; }
        grep -rnw --include='*.swift' "$method" Tests | while IFS=: read -r file line text; do
            echo "taken out of $file: $text"
        done
        grep -rlw --include='*.swift' "$method" Tests | xargs --no-run-if-empty sed -i "/\b$method\b/d"
        swift build --build-tests
        swift test --skip-build --filter '^(MixtureMethods|MixtureOfExperts|TransformerModel)Tests\.'
    )
done
echo "all methods named can be removed"
