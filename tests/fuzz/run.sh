#!/usr/bin/env bash
# Builds the fuzz targets (build/fuzz) and runs each for SECONDS, from the seeds in corpus/<target> and what earlier runs found.
#   tests/fuzz/run.sh SECONDS [target...]      a target: safetensors, gguf, yaml ... (default: all)
#   tests/fuzz/run.sh --long [MINUTES [target...]]   10 million executions for safetensors, gguf, jsonl and yaml, a million for the rest; or until
#                                              each has had so many minutes (0: no limit), and is then short
#   tests/fuzz/run.sh --build FOLDER           only builds, stripped, to be carried to a machine of many cores without clang and git, beside a
#                                              copy of the repository: FUZZ_PROGRAMS=FOLDER FUZZ_COMMIT=... JOBS=16 tests/fuzz/run.sh --long
# JOBS (1): processes that share a target's executions and corpus; two processes at once a core. A line a target: "fuzz NAME | executions |
# no finding | holds". Findings are kept in build/fuzz/findings/<target> and printed in base64; not 0 if there is any.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
build="$root/build/fuzz" dev="${GRAFT_BUILD:-$root/build/dev}" jobs="${JOBS:-1}"
cd "$root"
die() { echo "run.sh: $*" >&2; exit 2; }

long="" seconds=0 carried=""
case "${1:-}" in
  --long) long=1 seconds=$((${2:-0} * 60)); shift $(($# > 1 ? 2 : 1)) ;;
  --build) carried=${2:?a folder}; set -- ;;
  *) [[ "${1:-}" =~ ^[1-9][0-9]*$ ]] || die "expected a number of seconds: tests/fuzz/run.sh SECONDS [target...], or --long [MINUTES [target...]], or --build FOLDER"
     seconds=$1; shift ;;
esac
if [ $# -eq 0 ]; then
  for source in "$here"/*_fuzz.cpp; do source=${source##*/}; set -- "$@" "${source%_fuzz.cpp}"; done
fi
for target in "$@"; do [ -f "$here/${target}_fuzz.cpp" ] || die "no target '$target' (no $here/${target}_fuzz.cpp)"; done

build_all() {   # TARGET...
  local compiler target
  compiler="$(command -v clang++-14 || command -v clang++)" || die "no clang++ (Debian: apt-get install clang-14 libclang-rt-14-dev)"
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Dev -DGRAFT_FUZZ=ON -DCMAKE_CXX_COMPILER="$compiler"
  for target in "$@"; do
    if [ "$target" = adapter_folder ]; then ninja -C "$dev" adapter_folder_fuzz; else ninja -C "$build" "${target}_fuzz"; fi   # needs LibTorch
  done
}
program_of() {
  if [ -n "${FUZZ_PROGRAMS:-}" ]; then echo "$FUZZ_PROGRAMS/$1_fuzz"
  elif [ "$1" = adapter_folder ]; then echo "$dev/tests/adapter_folder_fuzz"
  else echo "$build/tests/fuzz/$1_fuzz"; fi
}
mkdir -p "$build"
if [ -z "${FUZZ_PROGRAMS:-}" ]; then
  build_all "$@" > "$build/build.log" 2>&1 || { tail -n 40 "$build/build.log" >&2; die "the build failed ($build/build.log)"; }
fi
if [ -n "$carried" ]; then
  mkdir -p "$carried"
  for target in "$@"; do strip -o "$carried/${target}_fuzz" "$(program_of "$target")"; done
  exit
fi
commit="${FUZZ_COMMIT:-$(git rev-parse --short HEAD)}"

# run_job TARGET RUNS NUMBER: one process; its log is TARGET.NUMBER.log. Seeds are weighed alike, and where
# memory came from is not written down (a found input run alone tells): a third of the time each, of a long run.
run_job() {
  OMP_NUM_THREADS=1 ASAN_OPTIONS=malloc_context_size=0:quarantine_size_mb=16 "$(program_of "$1")" -runs="$2" -max_total_time="$seconds" -timeout=10 \
    -rss_limit_mb=2048 -max_len=65536 -entropic=0 -print_final_stats=1 -artifact_prefix="$build/findings/$1/" "$build/corpus/$1" "$here/corpus/$1" > "$build/$1.$3.log" 2>&1
}
# run_target NAME: one line; false on a finding
run_target() {
  local target=$1 bound=0 runs=-1 failed=0 executions job pids=()
  if [ -n "$long" ]; then
    case $target in safetensors | gguf | jsonl | yaml) bound=10000000 ;; *) bound=1000000 ;; esac
    runs=$(((bound + jobs - 1) / jobs))
  fi
  mkdir -p "$build/corpus/$target" "$build/findings/$target"
  rm -f "$build/$target".*.log
  for ((job = 1; job <= jobs; job++)); do run_job "$target" $runs $job & pids+=($!); done
  for job in "${pids[@]}"; do wait "$job" || failed=1; done
  executions="$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target".*.log | awk '{ sum += $1 } END { print sum + 0 }')"
  if ((failed)); then
    echo "fuzz $target | $executions executions | a finding: $build/findings/$target, logs: $build/$target.*.log | short"
    base64 -w 0 "$build/findings/$target"/* 2>/dev/null | head -c 4000 && echo   # a machine that is gone tomorrow still tells what it found
    return 1
  elif [ -z "$long" ]; then
    echo "fuzz $target | $executions executions in $seconds s | no finding | holds"
  elif ((executions >= bound)); then
    echo "fuzz $target | $executions executions, commit $commit, no finding | $bound | holds"
  else
    echo "fuzz $target | $executions executions, commit $commit, no finding | $bound | short"
    return 1
  fi
}
export -f run_target run_job program_of
export build dev here seconds long commit jobs
at_once=$((2 * $(nproc) / jobs))
printf '%s\n' "$@" | xargs -P "$((at_once > 0 ? at_once : 1))" -I{} bash -c 'run_target {}'
