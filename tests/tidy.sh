#!/usr/bin/env bash
# clang-tidy on the .cpp files that the last commits changed (all torch-free ones are cheap; torch ones take their headers' time).
# usage: tidy.sh BUILD_FOLDER [BASE]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$1 base=${2:-HEAD~1}
git rev-parse --verify -q "$base" >/dev/null || { echo "tidy: no commit $base to compare with"; exit 0; }
mapfile -t files < <(git diff --name-only --diff-filter=AM "$base" -- 'src/*.cpp' 'recipes/*.cpp' | grep -vE '^src/(kernels|ops|quant|nn|peft|models|train|report)/|^recipes/|tensors.cpp|runtime.cpp' | head -n 12)
((${#files[@]})) || { echo "tidy: no torch-free file changed"; exit 0; }
printf 'tidy: %s\n' "${files[@]}"
timeout 600 clang-tidy -p "$build" --quiet "${files[@]}" 2>/dev/null
