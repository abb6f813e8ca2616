#!/usr/bin/env bash
# clang-tidy on the torch-free .cpp files that the last commit changed. usage: tidy.sh BUILD_FOLDER [BASE]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$1 base=${2:-HEAD~1}
git rev-parse --verify -q "$base" >/dev/null || { echo "tidy: no commit $base to compare with"; exit 0; }
mapfile -t files < <(git diff --name-only --diff-filter=AM "$base" -- 'src/core/*.cpp' 'src/config/*.cpp' 'src/io/*.cpp' 'src/text/*.cpp' 'src/data/*.cpp' |
  grep -vE 'runtime.cpp|tensors.cpp' | head -n 12 || true)
((${#files[@]})) || { echo "tidy: no torch-free file changed"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# clang cannot read g++'s precompiled header: it gets the header itself.
sed -E "s# -Winvalid-pch# -Wno-unknown-warning-option#; s#-include [^ ]*/graft_plain.dir/cmake_pch.hxx#-include $PWD/third_party/plain_pch.h#" \
  "$build/compile_commands.json" > "$work/compile_commands.json"
printf 'tidy: %s\n' "${files[@]}"
printf '%s\n' "${files[@]}" | timeout 900 xargs -P "$(nproc)" -n 1 clang-tidy -p "$work" --quiet
