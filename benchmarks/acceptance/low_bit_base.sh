#!/usr/bin/env bash
# The bars of issue 4, measured afresh: a line a bar, `name | figure | bound | holds` (or short, or not-run). Non-zero if any is short.
#   low_bit_base.sh [--only NAME] [--gpu] [--out FILE]
# NAME: cpu_bytes error folders cpu_dequantise merge memory; with --gpu: bytes task_pairs memory_8b qat speed quantise.
# Needs ./setup.sh test and ./setup.sh to have run. GRAFT_GPU_MODEL: SmolLM2's GGUF there; GRAFT_DATA: the WordNet data's folder.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
source benchmarks/acceptance/bars.sh
data=${GRAFT_DATA:-runs/wordnet-data}
text=docs/design.md

cpu_bytes() { oracle cpu_bytes "$python" tests/oracle/bitsandbytes_bytes.py "$build/tests/quant_dump" cpu 1000; }
error() { oracle error "$python" tests/oracle/quantization_error.py "$build/tests/quant_dump"; }
folders() { oracle folders "$python" tests/oracle/bitsandbytes_folders.py "$release/graft" "$build/tests/model_dump" "$model" $text; }
cpu_dequantise() {
  local json; json=$("$release/benchmarks/quantize_speed" cpu) || { line cpu_dequantise failed runs short; return; }
  oracle cpu_dequantise "$python" benchmarks/acceptance/speed_lines.py cpu <<<"$json"
}
merge() {
  local name tests="$build/tests/test_recipes"
  for name in Merge.OnAQuantisedBaseEqualsTheLiveModel Merge.ASmallUpdateSurvivesTheDefaultExportAndTheRequantisedOneReportsItsLoss Qat.TheExportedModelComputesWhatTrainingRounded; do
    if "$tests" --gtest_filter="$name" >/dev/null 2>&1; then line "${name#*.}" "passes" "passes" holds; else line "${name#*.}" "fails" "passes" short; fi
  done
  local work log; work=$(mktemp -d)
  log=$("$release/graft" finetune configs/wordnet.yaml train.dtype=fp32 train.max_steps=2 train.micro_batch_size=4 output_dir="$work/run" 'data.val=[]' eval.metric=loss \
    quantization.format=nf4 quantization.double_quantization=true 2>&1 && "$release/graft" export "$work/run" --merged "$work/merged" --dtype fp32 2>&1) ||
    { line "SmolLM2 on nf4, merged" "$(tail -n 1 <<<"$log" | cut -c1-100)" "runs" short; return; }
  local apart; apart=$(grep -oE 'differs by at most [0-9.e-]+' <<<"$log" | grep -oE '[0-9.e-]+$')
  line "SmolLM2 on nf4, merged: a logit differs from the live model by at most" "$apart" "<= 5e-4" "$(at_most "$apart" 5e-4)"
  rm -rf "$work"
}
memory() {
  # SmolLM2: 28,311,552 numbers in 16 bits, 106,168,320 in nf4 with 4.5 bits; its largest matrix in fp32 as the file gives it; the same command on a tiny model is the program itself
  local full tiny
  full=$(peak_anonymous "$release/graft" generate "$model" --quantization nf4 --prompt a --raw --max-new-tokens 1 --device cpu --dtype bf16)
  tiny=$(peak_anonymous "$release/graft" generate tests/golden/tiny_chat --prompt a --raw --max-new-tokens 1 --device cpu --dtype bf16)
  local bound=$(((28311552 * 2 + 106168320 * 45 / 80 + 28311552 * 4) / 1048576 + tiny))
  line "peak RssAnon of loading SmolLM2 in nf4, MiB" "$full" "<= quantised model + one dense tensor + the program's own $tiny = $bound" "$(at_most "$full" "$bound")"
}
bytes() { oracle bytes "$python" tests/oracle/bitsandbytes_bytes.py "$build/tests/quant_dump" cuda 1200; }
task_pairs() { oracle task_pairs "$python" tests/oracle/low_bit_tasks.py pairs "$release/graft" "$model" "$data" /tmp/low_bit cuda 3 100; }
qat() { oracle qat "$python" tests/oracle/low_bit_tasks.py qat "$release/graft" "$model" "$data" /tmp/low_bit cuda 3 100; }
memory_8b() {
  local json; json=$("$release/benchmarks/train_step" configs/shapes/llama-3.1-8b.json 1 2048 bf16 cuda 4 nf4 double recompute) || { line memory_8b failed trains short; return; }
  local peak between; peak=$(field "$json" peak_gib) between=$(field "$json" between_steps_gib)
  line "8B shape, nf4 + double quantisation, r=16: allocated between steps, GiB" "$between" "<= 6.2" "$(at_most "$between" 6.2)"
  line "8B shape: peak allocated in a step of 1x2048 with layer recompute, GiB (reserved $(field "$json" reserved_gib), driver $(field "$json" driver_gib))" "$peak" "<= 8.0" "$(at_most "$peak" 8.0)"
  line "8B shape: tokens/s of that step" "$(field "$json" tokens_per_second)" "reported" holds
}
speed() {
  local json; json=$("$release/benchmarks/quantize_speed" cuda) || { line speed failed runs short; return; }
  oracle speed "$python" benchmarks/acceptance/speed_lines.py cuda <<<"$json"
}
quantise() {
  local work device seconds start; work=$(mktemp -d)
  "$python" benchmarks/acceptance/random_folder.py configs/shapes/llama-3.1-8b.json "$work/model" 4 tests/golden/tiny_chat || { line quantise "no model" "runs" short; return; }
  local gb; gb=$(du -sb "$work/model" | awk '{ printf "%.2f", $1 / 1e9 }')
  for device in cuda cpu; do
    start=$(date +%s%N)
    "$release/graft" quantize "$work/model" --to nf4 --double-quantization "$work/$device" --device $device >/dev/null 2>&1 || { line "quantising on $device" failed runs short; continue; }
    seconds=$(awk -v ns=$(($(date +%s%N) - start)) -v gb="$gb" 'BEGIN { printf "%.2f", ns / 1e9 / gb }')
    line "quantising four layers of the 8B shape ($gb GB) from a folder to a folder on $device, seconds per GB" "$seconds" "reported" holds
  done
  if cmp -s "$work/cuda/model.safetensors" "$work/cpu/model.safetensors"; then line "folders written on the GPU and the CPU" "equal" "equal" holds; else line "folders written on the GPU and the CPU" "differ" "equal" short; fi
  rm -rf "$work"
}

bars=(cpu_bytes error folders cpu_dequantise merge memory)
((gpu)) && bars=(bytes task_pairs memory_8b qat speed quantise)
run_bars "${bars[@]}"
