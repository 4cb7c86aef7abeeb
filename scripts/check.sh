#!/usr/bin/env bash
# Everything about the source that a machine can judge, cheapest first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo "check: tidy"
scripts/tidy.sh
echo "check: format"
swift format lint --strict --recursive --parallel Sources Tests Benchmarks Package.swift
echo "check: warnings"
# Its own folder: changed flags would rebuild the one of `make test` every time.
swift build --quiet --build-tests --scratch-path .build/check -Xswiftc -warnings-as-errors
echo "check: ok"
