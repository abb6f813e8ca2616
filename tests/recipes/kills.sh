#!/usr/bin/env bash
# Kills the real program at random moments and goes on: the final adapter must equal the undisturbed run's to the bit.
# Also: a stop by SIGINT saves and exits 3. usage: kills.sh PROGRAM COUNT [SEED] [OVERRIDE...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
graft=$(realpath "$1") count=$2
RANDOM=${3:-1}
overrides=("${@:4}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'echo "kills: line $LINENO: a command failed" >&2' ERR
export GRAFT_CACHE=$work/cache OMP_NUM_THREADS=1
golden=tests/golden/tiny_chat
cat > "$work/job.yaml" <<YAML
model: {path: $golden}
adapter: {rank: 4, alpha: 8, dropout: 0.2}
data: {train: [$golden/data/train.jsonl], val: [$golden/data/val.jsonl]}
train: {epochs: 30, micro_batch_size: 3, gradient_accumulation_steps: 2, learning_rate: 5e-3, dtype: fp32}
eval: {every: 40, prompts: $work/prompts.txt, max_new_tokens: 4}
checkpoint: {every: 7, keep: 2}
output_dir: $work/straight
YAML
printf 'What is a cow?\nTell me: pie\n' > "$work/prompts.txt"
start=$(date +%s%N)
"$graft" finetune "$work/job.yaml" "${overrides[@]}" >/dev/null 2>&1
span=$((($(date +%s%N) - start) / 1000000))   # ms
killed=0 inside=0   # of the kills, those in the middle of a checkpoint's writing
while ((killed < count)); do
  rm -rf "$work/run"
  # each round is killed once or twice, then finishes
  for _ in 1 2; do
    "$graft" finetune "$work/job.yaml" output_dir="$work/run" "${overrides[@]}" --resume-or-start >/dev/null 2>&1 &
    pid=$!
    sleep "$(awk -v r=$RANDOM -v s=$span 'BEGIN { printf "%.3f", (0.1 + 0.85 * r / 32768) * s / 1000 }')"
    kill -KILL $pid 2>/dev/null && killed=$((killed + 1))
    wait $pid 2>/dev/null || true
    if compgen -G "$work/run/checkpoints/.writing-*" >/dev/null; then inside=$((inside + 1)); fi
  done
  "$graft" finetune "$work/job.yaml" output_dir="$work/run" "${overrides[@]}" --resume-or-start >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  cmp -s "$work/straight/adapter/adapter_model.safetensors" "$work/run/adapter/adapter_model.safetensors" ||
    { echo "kills: after $killed kills the adapter differs from the undisturbed run's" >&2; exit 1; }
  # the metrics: one line a step, none twice
  [[ $(grep -c '"loss"' "$work/run/metrics.jsonl") == $(grep -c '"loss"' "$work/straight/metrics.jsonl") ]] ||
    { echo "kills: metrics.jsonl has another number of steps than the undisturbed run's" >&2; exit 1; }
  cmp -s "$work/straight/samples.jsonl" "$work/run/samples.jsonl" || { echo "kills: samples.jsonl differs from the undisturbed run's" >&2; exit 1; }
done
# SIGINT: finishes the step, saves, exits 3, and goes on to the same result (a signal that came after the end is sent again)
code=0
for _ in 1 2 3 4 5; do
  rm -rf "$work/run"
  "$graft" finetune "$work/job.yaml" output_dir="$work/run" "${overrides[@]}" >"$work/log" 2>&1 &
  pid=$!
  while [[ ! -s $work/run/metrics.jsonl ]] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
  kill -INT $pid 2>/dev/null || true
  code=0; wait $pid || code=$?
  [[ $code == 0 ]] || break
done
[[ $code == 3 ]] || { cat "$work/log"; echo "kills: SIGINT ended with $code, expected 3" >&2; exit 1; }
grep -q 'graft resume' "$work/log" || { cat "$work/log"; echo "kills: SIGINT did not say how to go on" >&2; exit 1; }
"$graft" resume "$work/run" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cmp -s "$work/straight/adapter/adapter_model.safetensors" "$work/run/adapter/adapter_model.safetensors" ||
  { echo "kills: after SIGINT the adapter differs" >&2; exit 1; }
echo "kills: $killed kills, $inside of them inside a checkpoint's writing, and a SIGINT; every final adapter equals the undisturbed run's to the bit"
