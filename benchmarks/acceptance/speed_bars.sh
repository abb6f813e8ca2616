# shellcheck shell=bash disable=SC2034,SC2154
# Bars on what `graft bench` measures, beside a rival of the same call; sourced behind bars.sh. A rival's Python is RIVALS_PYTHON (python3), which imports it
# from RIVALS_SITE, where benchmarks/peers/pack.sh's archive was unpacked.
graft=${GRAFT:-$release/graft}
log=$(mktemp) json=""
trap 'rm -f "$log"' EXIT

calc() { awk "BEGIN { printf \"%.$1f\", $2 }"; }
# What standard error said last, in short.
reason() { tail -n 1 "$log" | sed 's/^graft: //' | cut -c1-110; }
# ours NAME ARGUMENTS...: graft bench's object in $json. A request that graft refuses is of something that it does not know yet.
ours() {
  local name=$1 status=0; shift
  json=$("$graft" bench "$@" --json 2>"$log") || status=$?
  case $status in
    0) return 0 ;;
    2) line "$name" "refused: $(reason)" "runs" not-run; return 1 ;;
    *) line "$name" "exit $status: $(reason)" "runs" short; return 1 ;;
  esac
}
# rival PROGRAM ARGUMENTS...: its lines in $rivals; fails if it is not here.
rival() {
  local program=$1; shift
  rivals=$(PYTHONPATH=${RIVALS_SITE:-} "${RIVALS_PYTHON:-python3}" "benchmarks/peers/rival_$program.py" "$@" 2>"$log" | grep '^{"program"')
  [[ -n $rivals ]]
}
# The tokens/s and the name of the fastest case within so many GiB; where all take more, of the one that takes least.
best_rival() {
  "${RIVALS_PYTHON:-python3}" -c 'import json, sys
rows = [r for r in map(json.loads, sys.argv[1].splitlines()) if "oom" not in r]
fitting = [r for r in rows if r["peak_allocated_gib"] <= float(sys.argv[2])] or [min(rows, key=lambda r: r["peak_allocated_gib"])]
best = max(fitting, key=lambda r: r["tokens_per_second"])
print("%.0f %s (%.1f GiB)" % (best["tokens_per_second"], best["case"], best["peak_allocated_gib"]))' "$rivals" "$1"
}
tokens() { field "$json" tokens_per_second; }
# share_bar NAME PERCENT: of the floor.
share_bar() {
  local share; share=$(calc 2 "100 * $(field "$json" share_of_floor)")
  line "$1: share of the floor ($(calc 0 "$(tokens)") of $(calc 0 "$(field "$json" floor_tokens_per_second)") tokens/s; step $(calc 2 "$(field "$json" step_ms)") ms, $(calc 2 "$(field "$json" step_ms_min)") to $(calc 2 "$(field "$json" step_ms_max)"); $(field "$json" card))" \
    "$share %" ">= $2 %" "$(at_least "$share" "$2")"
}
memory_bar() {   # NAME GIB
  local peak; peak=$(calc 2 "$(field "$json" peak_allocated_gib)")
  line "$1: peak allocated, GiB (reserved $(calc 2 "$(field "$json" peak_reserved_gib)"), planned $(calc 2 "$(field "$json" planned_gib)"))" "$peak" "<= $2" "$(at_most "$peak" "$2")"
}
# ratio_bar NAME RIVAL'S-NAME RIVAL'S-TOKENS BOUND
ratio_bar() {
  local ratio; ratio=$(calc 2 "$(tokens) / $3")
  line "$1: over $2 ($(calc 0 "$(tokens)") and $3 tokens/s)" "${ratio}x" ">= ${4}x" "$(at_least "$ratio" "$4")"
}
no_rival() { line "$1: over $2" "no rival here: $(reason)" ">= ${3}x" not-run; }
# over_unsloth NAME SHAPE BOUND CASE [MORE-CASES] [-- ARGUMENTS]: the first case is the bar's, what it reaches in others is reported.
over_unsloth() {
  local name=$1 shape=$2 bound=$3 cases=() first; shift 3
  while (($#)) && [[ $1 != -- ]]; do cases+=("$1"); shift; done
  if rival unsloth "$shape" "${cases[@]}" --seconds "$((${#cases[@]} > 1 ? 10 : 20))" "${@:2}"; then
    first=$(head -n 1 <<<"$rivals")
    [[ $first == *'"oom"'* ]] && { line "$name: over Unsloth" "Unsloth is out of memory" ">= ${bound}x" holds; return; }
    ratio_bar "$name" Unsloth "$(calc 0 "$(field "$first" tokens_per_second)")" "$bound"
    ((${#cases[@]} > 1)) && line "$name: Unsloth's best of ${cases[*]}, tokens/s" "$(best_rival 1e9)" reported holds
  else no_rival "$name" Unsloth "$bound"; fi
}
