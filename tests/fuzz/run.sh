#!/usr/bin/env bash
# Builds the fuzz targets (build/fuzz) and runs each for SECONDS, from the seeds in corpus/<target> and what earlier runs found.
#   tests/fuzz/run.sh SECONDS [target...]      a target: safetensors, gguf, yaml ... (default: all)
#   tests/fuzz/run.sh --long [MINUTES]         10 million executions for safetensors, gguf, jsonl and yaml, a million for the rest; or until
#                                              each has had so many minutes, and is then short
# A line a target: "fuzz NAME | executions | no finding | holds"; two at once a core. Findings are kept in
# build/fuzz/findings/<target> and printed in base64; not 0 if there is any.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
build="$root/build/fuzz"

long="" seconds="${1:-}"
if [ "$seconds" = --long ]; then
  long=1 seconds=$((${2:-0} * 60))
  set --
elif ! [[ "$seconds" =~ ^[0-9]+$ ]] || [ "$seconds" -eq 0 ]; then
  echo "run.sh: expected a number of seconds: tests/fuzz/run.sh SECONDS [target...], or --long [MINUTES]" >&2
  exit 2
else
  shift
fi
if [ $# -eq 0 ]; then
  for source in "$here"/*_fuzz.cpp; do source=${source##*/}; set -- "$@" "${source%_fuzz.cpp}"; done
fi
for target in "$@"; do
  [ -f "$here/${target}_fuzz.cpp" ] || { echo "run.sh: no target '$target' (no $here/${target}_fuzz.cpp)" >&2; exit 2; }
done

compiler="$(command -v clang++-14 || command -v clang++ || true)"
[ -n "$compiler" ] || { echo "run.sh: no clang++ (Debian: apt-get install clang-14 libclang-rt-14-dev)" >&2; exit 2; }
dev="${GRAFT_BUILD:-$root/build/dev}"
commit="$(git -C "$root" rev-parse --short HEAD)"
mkdir -p "$build"
{
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Dev -DGRAFT_FUZZ=ON -DCMAKE_CXX_COMPILER="$compiler"
  for target in "$@"; do
    if [ "$target" = adapter_folder ]; then ninja -C "$dev" adapter_folder_fuzz; else ninja -C "$build" "${target}_fuzz"; fi   # needs LibTorch
  done
} > "$build/build.log" 2>&1 || { tail -n 40 "$build/build.log" >&2; echo "run.sh: the build failed ($build/build.log)" >&2; exit 2; }

# run_target NAME: one line; false on a finding
run_target() {
  local target=$1 corpus="$build/corpus/$1" findings="$build/findings/$1" log="$build/$1.log" status=0 executions runs=-1
  local program="$build/tests/fuzz/${target}_fuzz"
  [ "$target" != adapter_folder ] || program="$dev/tests/adapter_folder_fuzz"
  if [ -n "$long" ]; then
    case $target in safetensors | gguf | jsonl | yaml) runs=10000000 ;; *) runs=1000000 ;; esac
  fi
  mkdir -p "$corpus" "$findings" "$here/corpus/$target"
  OMP_NUM_THREADS=1 "$program" -runs=$runs -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$findings/" "$corpus" "$here/corpus/$target" > "$log" 2>&1 || status=$?
  executions="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
  if [ "$status" -eq 0 ] && [ -n "$long" ]; then
    if [ "${executions:-0}" -ge $runs ]; then verdict=holds; else verdict=short; fi
    echo "fuzz $target | ${executions:-?} executions, commit $commit, no finding | $runs | $verdict"
    [ $verdict = holds ]
  elif [ "$status" -eq 0 ]; then
    echo "fuzz $target | ${executions:-?} executions in $seconds s | no finding | holds"
  else
    echo "fuzz $target | ${executions:-?} executions | a finding: $findings, log: $log | short"
    base64 -w 0 "$findings"/* 2>/dev/null | head -c 4000 && echo   # a machine that is gone tomorrow still tells what it found
    return 1
  fi
}
export -f run_target
export build dev here seconds long commit
printf '%s\n' "$@" | xargs -P "$((2 * $(nproc)))" -I{} bash -c 'run_target {}'
