#!/usr/bin/env bash
# The bars of issue 6, measured afresh: a line a bar, `name | figure | bound | holds` (or short, or not-run). Non-zero if any is short.
#   speed.sh [--only NAME] [--gpu] [--out FILE]
# NAME: cpu_fp32 cpu_bf16 cpu_short fused packed_equal; with --gpu: 8b_bf16 8b_nf4 8b_nf4_offload 8b_nf4_short 8b_fp8 8b_nf4_fp8 1b_bf16 1b_short 135m_short
# packed_1b packed_135m start_135m start_8b 70b fp8_loss fused packed_equal deterministic planned memcheck racecheck. Each runs alone in under 8 minutes. A rival is run in the same call: RIVALS_PYTHON (python3) imports it, from the folder
# RIVALS_SITE where benchmarks/peers/pack.sh's archive was unpacked. What graft does not know yet, and a rival that is not here, is not-run.
# Needs ./setup.sh; for cpu_short configs/wordnet/make_data.sh too. GRAFT_GPU_MODEL: SmolLM2's GGUF.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
source benchmarks/acceptance/bars.sh
source benchmarks/acceptance/speed_bars.sh
lengths=benchmarks/short_lengths.txt
nf4=(quantization.format=nf4 quantization.double_quantization=true)

8b_bf16() {
  ours "8B bf16 4x2048" llama-3.1-8b --batch 4x2048 train.dtype=bf16 || return 0
  share_bar "8B bf16 4x2048" 85
  over_unsloth "8B bf16 4x2048" llama-3.1-8b 1.25 4x2048
}
8b_nf4() {
  ours "8B nf4 4x2048" llama-3.1-8b --batch 4x2048 train.dtype=bf16 "${nf4[@]}" || return 0
  share_bar "8B nf4 4x2048" 80
  memory_bar "8B nf4 4x2048" 32
}
8b_nf4_offload() {
  ours "8B nf4 4x2048, layers recomputed, inputs offloaded" llama-3.1-8b --batch 4x2048 train.dtype=bf16 "${nf4[@]}" train.recompute=offload || return 0
  share_bar "8B nf4 4x2048, layers recomputed, inputs offloaded" 82
  memory_bar "8B nf4 4x2048, layers recomputed, inputs offloaded" 8.0
}
8b_nf4_short() {
  ours "8B nf4 8x512" llama-3.1-8b --batch 8x512 --no-floor train.dtype=bf16 "${nf4[@]}" || return 0
  over_unsloth "8B nf4 8x512" llama-3.1-8b 1.2 8x512 -- --format nf4
}
8b_fp8() {
  local bf16
  ours "8B bf16 4x2048" llama-3.1-8b --batch 4x2048 --no-floor train.dtype=bf16 || return 0
  bf16=$(calc 0 "$(tokens)")
  ours "8B fp8 4x2048" llama-3.1-8b --batch 4x2048 --no-floor train.dtype=fp8 || return 0
  ratio_bar "8B fp8 4x2048" "our own bf16" "$bf16" 1.33
}
8b_nf4_fp8() {   # no rival multiplies an nf4 base in 8 bits
  local bf16 rows
  for rows in 4x2048 8x512; do
    ours "8B NF4 bf16 $rows" llama-3.1-8b --batch $rows --no-floor "${nf4[@]}" train.dtype=bf16 || return 0
    bf16=$(calc 0 "$(tokens)")
    ours "8B NF4 fp8 $rows" llama-3.1-8b --batch $rows --no-floor "${nf4[@]}" train.dtype=fp8 || return 0
    ratio_bar "8B NF4 fp8 $rows" "our own bf16" "$bf16" 1.25
  done
}
1b_bf16() {
  ours "1B bf16 4x2048" llama-3.2-1b --batch 4x2048 train.dtype=bf16 || return 0
  share_bar "1B bf16 4x2048" 80
}
1b_short() {
  ours "1B bf16 4x512" llama-3.2-1b --batch 4x512 train.dtype=bf16 || return 0
  share_bar "1B bf16 4x512" 62
  over_unsloth "1B bf16 4x512" llama-3.2-1b 5 4x512 16x512 64x512
}
135m_short() {
  ours "SmolLM2-135M bf16 8x512" smollm2-135m --batch 8x512 train.dtype=bf16 || return 0
  share_bar "SmolLM2-135M bf16 8x512" 60
  over_unsloth "SmolLM2-135M bf16 8x512" smollm2-135m 20 8x512 32x512 128x512
}
packed() {   # NAME SHAPE ROWS
  local best memory
  ours "$1" "$2" --lengths $lengths data.packing=true data.max_length=2048 train.micro_batch_size="$3" train.dtype=bf16 || return 0
  memory=$(field "$json" peak_allocated_gib)
  if rival unsloth "$2" pack:2048 pack:4096 pack:8192 pack:16384 pack:32768 --lengths $lengths --seconds 10; then
    best=$(best_rival "$memory")
    ratio_bar "$1" "Unsloth's packing, ${best#* } its best within our $(calc 1 "$memory") GiB" "${best%% *}" 1.3
  else no_rival "$1" "Unsloth's packing" 1.3; fi
  if rival peft "$2" pad:16 --lengths $lengths; then ratio_bar "$1" "PEFT padding 16 samples to their longest" "$(calc 0 "$(field "$rivals" tokens_per_second)")" 3
  else no_rival "$1" "PEFT padding" 3; fi
}
packed_1b() { packed "1B, samples of 150 tokens on average, packed" llama-3.2-1b 8; }
packed_135m() { packed "SmolLM2-135M, samples of 150 tokens on average, packed" smollm2-135m 16; }

# Seconds from Enter to the first finished step of `graft finetune ARGUMENTS`, the second of two runs.
first_step() {
  local start end
  for _ in 1 2; do
    start=$(date +%s%N)
    end=$("$graft" finetune "$@" train.max_steps=1 --overwrite --json 2>"$log" | { grep -m 1 -q '"event":"step"' && date +%s%N; cat >/dev/null; })
  done
  [[ -n $end ]] && calc 2 "($end - $start) / 1e9"
}
start_bar() {   # NAME BOUND ARGUMENTS...
  local name=$1 bound=$2 seconds; shift 2
  seconds=$(first_step "$@") || { line "$name: Enter to the first finished step" "failed: $(reason)" "<= $bound s" short; return; }
  line "$name: Enter to the first finished step, files in the cache" "$seconds s" "<= $bound s" "$(at_most "$seconds" "$bound")"
}
start_135m() {
  local work; work=$(mktemp -d)
  start_bar SmolLM2-135M 3 configs/lora.yaml model.path="$model" 'data.train=[tests/golden/tiny_chat/data/train.jsonl]' 'data.val=[]' data.val_size=0 eval.every=0 output_dir="$work/run"
  rm -rf "$work"
}
start_8b() {
  local work; work=$(mktemp -d)
  "$python" benchmarks/acceptance/random_folder.py configs/shapes/llama-3.1-8b.json "$work/model" 32 tests/golden/tiny_chat 128256 2>"$log" ||
    { line start_8b "no model: $(reason)" "runs" short; return; }
  GRAFT_CACHE=$work/cache start_bar "8B from its cached nf4 base" 15 configs/qlora_8b.yaml model.path="$work/model" quantization.store=true 'data.train=[tests/golden/tiny_chat/data/train.jsonl]' \
    'data.val=[]' data.val_size=0 eval.every=0 output_dir="$work/run"
  rm -rf "$work"
}
70b() {
  ours "70B nf4 1x2048, layers recomputed" llama-3.1-70b --batch 1x2048 --no-floor train.dtype=bf16 "${nf4[@]}" train.recompute=layer || return 0
  line "70B nf4 1x2048, layers recomputed: tokens/s" "$(calc 0 "$(tokens)")" reported holds
  memory_bar "70B nf4 1x2048, layers recomputed" 79
}

# The CPU's: two threads that keep to their cores; user seconds over wall seconds are in the line, and far under 1.8 is no measurement.
cpu_rival() { OMP_PROC_BIND=true "$python" benchmarks/peers/cpu_peft.py --dtype "$1" --threads 2 --rows 4 --length 512 --steps 3 2>"$log" | tail -n 1; }
cpu_step() {   # DTYPE BOUND
  local theirs slow=0
  OMP_PROC_BIND=true OMP_NUM_THREADS=2 ours "SmolLM2-135M $1 4x512" smollm2-135m --batch 4x512 train.dtype="$1" device=cpu || return 0
  theirs=$(cpu_rival "$1")
  [[ $theirs == *step_s* ]] || { line "SmolLM2-135M $1 4x512: over PEFT" "${theirs:-$(reason)}" ">= ${2}x" not-run; return; }
  "$python" -c 'import json, sys; f = json.loads(sys.argv[1])["floor"]; sys.exit(f["mm_s"] < 2 * f["onednn_s"])' "$theirs" && slow=1
  if [[ $1 == fp32 && $slow == 0 ]]; then line "SmolLM2-135M fp32 4x512: over PEFT" "$(calc 2 "$(tokens) / $(field "$theirs" tokens_per_s)")x" ">= ${2}x where its products run at under half of oneDNN's speed" not-run
  else ratio_bar "SmolLM2-135M $1 4x512" "PEFT (user over wall $(field "$theirs" user_per_wall), ours $(calc 2 "$(field "$json" processor_per_wall)"))" "$(field "$theirs" tokens_per_s)" "$2"; fi
}
cpu_fp32() {
  cpu_step fp32 2.0
  [[ $json == \{* ]] && share_bar "SmolLM2-135M fp32 4x512" 75
}
cpu_bf16() {
  grep -q avx512_bf16 /proc/cpuinfo || { line "SmolLM2-135M bf16 4x512: over PEFT" "this processor has no AVX512-BF16" ">= 1.5x" not-run; return; }
  cpu_step bf16 1.5
}
# Grouped batches in fp32 on both sides; then both as they are run without a word: graft in the type that the processor has, PEFT in fp32 in random order.
cpu_short() {
  local data=runs/wordnet-data
  [[ -s $data/train.jsonl ]] || sh configs/wordnet/make_data.sh $data >/dev/null 2>&1 || { line cpu_short "no data" runs not-run; return; }
  short_samples grouped fp32 2
  short_samples random auto 4
}
short_samples() {   # ORDER-OF-PEFT'S DTYPE-OF-OURS BOUND
  local name
  OMP_PROC_BIND=true OMP_NUM_THREADS=2 ours "WordNet samples, $1" configs/wordnet.yaml train.dtype="$2" device=cpu 'data.val=[]' eval.metric=loss || return 0
  name="WordNet samples, $(field "$json" dtype)"
  rivals=$(OMP_PROC_BIND=true "$python" benchmarks/peers/wordnet_peft.py "$model" runs/wordnet-data --dtype fp32 --threads 2 --steps 12 --order "$1" --head all --evaluate no 2>"$log" | tail -n 1)
  [[ $rivals == \{* ]] || { line "$name: over PEFT, fp32, $1 batches" "no rival: $(reason)" ratio not-run; return; }
  ratio_bar "$name" "PEFT, fp32, $1 batches" "$(calc 0 "$(field "$rivals" tokens_per_second)")" "$3"
}

# The held-out loss of fp8 beside bf16's: the mean of each run's last five evaluations, of three seeds.
fp8_loss() {
  [[ -s runs/wordnet-data/train.jsonl ]] || sh configs/wordnet/make_data.sh runs/wordnet-data >/dev/null 2>&1 || { line fp8_loss "no data" runs not-run; return; }
  fp8_loss_on none
  fp8_loss_on nf4
}
fp8_loss_on() {   # FORMAT-OF-THE-BASE
  local format=$1 work dtype seed loss off
  work=$(mktemp -d)
  for dtype in bf16 fp8; do
    for seed in 1 2 3; do
      "$graft" finetune configs/wordnet.yaml model.path="$model" quantization.format="$format" train.dtype=$dtype train.seed=$seed train.max_steps=200 eval.every=20 eval.metric=loss output_dir="$work/$dtype.$seed" --quiet 2>"$log" ||
        { line "fp8: held-out loss (base $format, $dtype, seed $seed)" "exit $?: $(reason)" runs short; rm -rf "$work"; return; }
    done
  done
  loss=$("$python" - "$work" <<'PYTHON'
import json, sys
def mean(dtype):
    ends = []
    for seed in (1, 2, 3):
        losses = [row["eval_loss"] for row in map(json.loads, open(f"{sys.argv[1]}/{dtype}.{seed}/metrics.jsonl")) if "eval_loss" in row]
        ends += losses[-5:]
    assert len(ends) == 15, ends
    return sum(ends) / 15
print("%.4f %.4f" % (mean("bf16"), mean("fp8")))
PYTHON
  ) || { line "fp8: held-out loss" "no losses: $loss" runs short; rm -rf "$work"; return; }
  off=$(awk '{ d = $2 - $1; d = d < 0 ? -d : d; printf "%.4f %.2f", d, 100 * d / $1 }' <<<"$loss")
  line "fp8, base $format: mean held-out loss of SmolLM2 on WordNet beside bf16's (${loss#* } and ${loss% *}, three seeds): away by $(cut -d' ' -f1 <<<"$off"), of bf16's" "${off#* } %" "<= 2 % or 0.01" \
    "$(awk '{ print ($1 <= 0.01 || $2 <= 2) ? "holds" : "short" }' <<<"$off")"
  rm -rf "$work"
}

# Correctness: the tests that hold a bar. suite NAME BINARY FILTER
suite() {
  local device=cpu count; ((gpu)) && device=cuda
  count=$("$build/tests/$2" --gtest_filter="$3" --gtest_list_tests 2>/dev/null | grep -c '^  ')
  ((count)) || { line "$1" "no test '$3' in $build/tests/$2" "passes" not-run; return; }
  if GRAFT_TEST_DEVICE=$device "$build/tests/$2" --gtest_filter="$3" >"$log" 2>&1; then line "$1 ($count tests on $device)" passes passes holds
  else line "$1 ($count tests on $device)" "$(grep -c '^\[  FAILED' "$log") lines of failure" passes short; fi
}
fused() { suite "fused blocks are the plain path" test_contract 'Fused*:*/Fused*'; }
packed_equal() { suite "packed rows, and a beginning that samples share, are one sample a row" test_contract '*Packing*:*SharedBeginning*'; }
deterministic() {
  local free
  ours "1B bf16 4x512" llama-3.2-1b --batch 4x512 --no-floor train.dtype=bf16 || return 0
  free=$(calc 0 "$(tokens)")
  ours "deterministic: what it costs, 1B 4x512" llama-3.2-1b --batch 4x512 --no-floor train.dtype=bf16 deterministic=true || return 0
  line "deterministic: tokens/s of 1B 4x512, and of the same without" "$(calc 0 "$(tokens)") of $free" reported holds
  suite "deterministic: graphs, recompute, cache and resume to the bit" test_contract '*Deterministic*'
}
planned() {
  local off; local -a request
  for job in "smollm2-135m --batch 8x512" "llama-3.2-1b --batch 4x512" "llama-3.2-1b --batch 4x2048 train.recompute=layer" "llama-3.2-1b --batch 4x2048 ${nf4[*]}" \
             "llama-3.1-8b --batch 1x2048 ${nf4[*]} train.recompute=layer" "qwen2.5-0.5b --batch 8x512 train.recompute=gate_up"; do
    read -ra request <<<"$job"
    ours "planned: $job" "${request[@]}" train.dtype=bf16 --no-floor --seconds 3 || continue
    off=$(calc 1 "100 * ($(field "$json" planned_gib) / $(field "$json" peak_allocated_gib) - 1)")
    line "planned: $job ($(calc 2 "$(field "$json" planned_gib)") of $(calc 2 "$(field "$json" peak_allocated_gib)") GiB)" "$off %" "within 5 %" "$(at_most "${off#-}" 5)"
  done
}
# Of graft's own kernels: cuBLAS's show hazards, and racecheck itself falls over some of them (a hardware exception that memcheck does not see), so it is
# spared the tests that multiply large matrices.
sanitizer() {   # TOOL [FILTER]
  local binary
  command -v compute-sanitizer >/dev/null || { line "$1" "no compute-sanitizer" clean not-run; return; }
  for binary in test_ops test_quant; do
    if GRAFT_TEST_DEVICE=cuda timeout 220 compute-sanitizer --tool "$1" --kernel-name kns=graft --error-exitcode 9 "$build/tests/$binary" --gtest_filter="${2:-*}" >"$log" 2>&1; then line "$1: $binary" clean clean holds
    else line "$1: $binary" "$(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$log" | tail -n 1 | cut -c1-100)" clean short; fi
  done
}
memcheck() { sanitizer memcheck; }
racecheck() { sanitizer racecheck 'BlockOps.*:Ops.Dropout*:Edges.*:Devices.*:Decode.*:Weight.AFewRows*-*CrossEntropy*:*.Products*'; }

bars=(cpu_fp32 cpu_bf16 cpu_short fused packed_equal)
((gpu)) && bars=(8b_bf16 8b_nf4 8b_nf4_offload 8b_nf4_short 8b_fp8 8b_nf4_fp8 1b_bf16 1b_short 135m_short packed_1b packed_135m start_135m start_8b 70b
                 fp8_loss fused packed_equal deterministic planned memcheck racecheck)
run_bars "${bars[@]}"
