# shellcheck shell=bash disable=SC2034
# What the acceptance scripts share; sourced. Reads --only NAME, --gpu and --out FILE; sets python, build, release, model, gpu.
only="" gpu=0 out=/dev/null short=0
while (($#)); do
  case $1 in
    --only) only=$2; shift 2 ;;
    --gpu) gpu=1; shift ;;
    --out) out=$2; shift 2 ;;
    *) echo "$0: unknown argument $1" >&2; exit 2 ;;
  esac
done
python=${GRAFT_VENV_PYTHON:-.deps/venv/bin/python}
build=${GRAFT_BUILD:-build/dev}
release=${GRAFT_RELEASE:-build/release}
model=${GRAFT_GPU_MODEL:-.deps/models/SmolLM2-135M-Instruct.Q4_1.gguf}

line() { printf '%s | %s | %s | %s\n' "$@" | tee -a "$out"; [[ $4 == holds || $4 == not-run ]] || short=1; }
at_least() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a + 0 >= b + 0) }' && echo holds || echo short; }
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a + 0 <= b + 0) }' && echo holds || echo short; }
field() { "$python" -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$1" "$2"; }
# Passes on an oracle's own lines; a program that fails without one is short.
oracle() {
  local name=$1 status=0 text errors; shift
  errors=$(mktemp)
  text=$("$@" 2>"$errors") || status=$?
  grep -E '\| (holds|short|not-run)$' <<<"$text" | tee -a "$out"
  grep -qE '\| short$' <<<"$text" && short=1
  ((status == 0)) || { line "$name" "exit $status: $(tail -n 1 "$errors" | cut -c1-120)" "exit 0" short; }
  rm -f "$errors"
}
# The largest RssAnon, in MiB, that a command reaches.
peak_anonymous() {
  local peak=0 now pid
  "$@" >/dev/null 2>&1 &
  pid=$!
  while now=$(awk '/^RssAnon/ { print $2 }' /proc/$pid/status 2>/dev/null) && [[ -n $now ]]; do ((now > peak)) && peak=$now; sleep 0.005; done
  wait $pid
  echo $((peak / 1024))
}
# Runs the bars, or the one that --only names, and ends the script.
run_bars() {
  if [[ -n $only ]]; then
    declare -F "$only" >/dev/null || { echo "$0: no bar '$only'; there are: $*" >&2; exit 2; }
    set -- "$only"
  fi
  local bar
  for bar in "$@"; do "$bar"; done
  exit $short
}
