#!/usr/bin/env bash
# Builds the fuzz targets (build/fuzz) and runs each for SECONDS, from the seeds in corpus/<target> and what earlier runs found.
#   tests/fuzz/run.sh SECONDS [target...]      a target: safetensors, gguf, yaml ... (default: all)
# A line a target: "fuzz NAME | executions | no finding | holds". Findings are kept in build/fuzz/findings/<target>; exit 1 if any.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
build="$root/build/fuzz"

seconds="${1:-}"
if ! [[ "$seconds" =~ ^[0-9]+$ ]] || [ "$seconds" -eq 0 ]; then
  echo "run.sh: expected a number of seconds: tests/fuzz/run.sh SECONDS [target...]" >&2
  exit 2
fi
shift
if [ $# -eq 0 ]; then
  for source in "$here"/*_fuzz.cpp; do source=${source##*/}; set -- "$@" "${source%_fuzz.cpp}"; done
fi
for target in "$@"; do
  [ -f "$here/${target}_fuzz.cpp" ] || { echo "run.sh: no target '$target' (no $here/${target}_fuzz.cpp)" >&2; exit 2; }
done

compiler="$(command -v clang++-14 || command -v clang++ || true)"
[ -n "$compiler" ] || { echo "run.sh: no clang++ (Debian: apt-get install clang-14 libclang-rt-14-dev)" >&2; exit 2; }
mkdir -p "$build"
{
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Dev -DGRAFT_FUZZ=ON -DCMAKE_CXX_COMPILER="$compiler"
  ninja -C "$build" "${@/%/_fuzz}"
} > "$build/build.log" 2>&1 || { tail -n 40 "$build/build.log" >&2; echo "run.sh: the build failed ($build/build.log)" >&2; exit 2; }

failed=0
for target in "$@"; do
  corpus="$build/corpus/$target"; findings="$build/findings/$target"; log="$build/$target.log"
  mkdir -p "$corpus" "$findings" "$here/corpus/$target"
  status=0
  "$build/tests/fuzz/${target}_fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$findings/" "$corpus" "$here/corpus/$target" > "$log" 2>&1 || status=$?
  executions="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
  if [ "$status" -eq 0 ]; then
    echo "fuzz $target | ${executions:-?} executions in $seconds s | no finding | holds"
  else
    failed=1
    echo "fuzz $target | ${executions:-?} executions | a finding: $findings, log: $log | fails"
  fi
done
exit "$failed"
