#!/usr/bin/env bash
# The bars of issue 7 on what a run survives, measured afresh: a line a bar, `name | figure | bound | holds` (or short, or not-run). Non-zero if any
# is short.
#   never_lose_a_run.sh [--only NAME] [--gpu] [--out FILE]
# NAME: kills repeatable power_loss faults checkpoint_stall fuzz plan documented; with --gpu: gpu_kills repeatable gpu_plan. KILLS (200; on a GPU
# 20) and REPLAYS (300) say how many, FUZZ_MINUTES how long the long fuzz may take (none: to its end, which is hours). Needs ./setup.sh test to have
# run; --gpu only the program (GRAFT_BUILD: its folder) and python3 (GRAFT_VENV_PYTHON).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
source benchmarks/acceptance/bars.sh
graft=$(realpath "$build/graft")
golden=tests/golden/tiny_chat
work=$(mktemp -d)
trap 'umount "$work/small" "$work/fixed" 2>/dev/null; rm -rf "$work"' EXIT
export GRAFT_CACHE=$work/cache

# A run of a second; `more` are overrides.
cat > "$work/job.yaml" <<YAML
model: {path: $golden}
adapter: {rank: 4, alpha: 8, dropout: 0.2}
data: {train: [$golden/data/train.jsonl], val: [$golden/data/val.jsonl]}
train: {max_steps: 12, micro_batch_size: 3, gradient_accumulation_steps: 2, learning_rate: 5e-3, dtype: fp32}
eval: {every: 4}
checkpoint: {every: 2, keep: 2}
device: cpu
YAML
run() { local folder=$1; shift; "$graft" finetune "$work/job.yaml" --quiet output_dir="$folder" "$@"; }
weights=adapter/adapter_model.safetensors

count_kills() {   # NAME COUNT ARGUMENTS...: kills.sh's last line as a bar
  local name=$1 count=$2 text; shift 2
  if text=$(tests/recipes/kills.sh "$graft" "$count" "$@" 2>&1 | tail -n 1) && [[ $text == *"to the bit" ]]; then line "$name" "$text" "$count" holds
  else line "$name" "$text" "$count" short; fi
}
kills() { count_kills kills "${KILLS:-200}" 1; }
gpu_kills() {
  "$graft" doctor | grep -q 'none usable' && { line "kills on a GPU" "no GPU here" "20 of 20" not-run; return; }
  count_kills "kills on a GPU, deterministic" "${KILLS:-20}" 1 device=cuda train.dtype=bf16 deterministic=true
}

# Jobs whose steps take other kernels: each comes out of two runs the same to the bit, and so does recompute=layer beside none.
repeatable() {
  local device=cpu dtype=fp32 what jobs=() different=()
  ((gpu)) && device=cuda dtype=bf16
  sed '/^adapter/d' "$work/job.yaml" >"$work/any.yaml"
  for what in 'lora, dropout: 0.2' dora pissa vera ia3 houlsby parallel prompt_tuning p_tuning prefix_tuning p_tuning_v2 full head; do jobs+=("adapter={method: $what}"); done
  jobs+=('adapter={method: loftq} quantization.format=nf4' 'quantization.format=nf4 quantization.double_quantization=true' 'data.packing=true data.max_length=128'
         'quantization.format=int4_affine quantization.clip=percentile' 'quantization.format=fp8 train.recompute=layer' 'model.new_tokens=["<a>", "<b>"]')
  repeat() { rm -rf "$1"; "$graft" finetune "$work/any.yaml" --quiet output_dir="$1" deterministic=true device=$device train.dtype=$dtype eval.every=0 'data.val=[]' "${@:2}" >"$work/out" 2>&1; }
  for what in "${jobs[@]}"; do
    mapfile -t words < <("$python" -c 'import re, sys; print(*re.split(r" (?=[a-z_]+\.[a-z_]+=)", sys.argv[1]), sep="\n")' "$what")
    repeat "$work/one" "${words[@]}" && repeat "$work/two" "${words[@]}" && diff -rq "$work/one/adapter" "$work/two/adapter" >/dev/null ||
      different+=("$what ($(tail -n 1 "$work/out" | cut -c1-200))")
  done
  repeat "$work/one" && repeat "$work/two" train.recompute=layer && diff -rq "$work/one/adapter" "$work/two/adapter" >/dev/null || different+=("recompute=layer beside none")
  if ((${#different[@]})); then line "repeatable on $device" "not: $(printf '%s; ' "${different[@]}")" "all" short
  else line "repeatable on $device" "$((${#jobs[@]} + 1)) jobs, to the bit" "all" holds; fi
}

power_loss() {
  local root=$work/disk run=$work/disk/runs/one text
  mkdir -p "$root"
  cc -shared -fPIC -O1 -o "$work/record.so" benchmarks/acceptance/record_writes.c -ldl &&
    OMP_NUM_THREADS=1 RECORD_ROOT=$root RECORD_FILE=$work/record LD_PRELOAD=$work/record.so run "$run" ||
    { line power_loss "the run could not be recorded" "runs" short; return; }
  replay() { OMP_NUM_THREADS=1 "$python" benchmarks/acceptance/replay_writes.py "$work/record" "$root" "$run" "$graft" "$@"; }
  text=$(replay --replays "${REPLAYS:-300}" --expect "$run/$weights") && line power_loss "$text" "all" holds || line power_loss "$text" "all" short
  text=$(replay --replays 40 --without-file-syncs 2>/dev/null) && line "power_loss without syncs of files" "$text" "not all" short ||
    line "power_loss without syncs of files" "$text" "not all" holds
}

# fault NAME CODE PATTERN COMMAND...: what the program says of it, and its exit code
fault() {
  local name=$1 code=$2 pattern=$3 got=0; shift 3
  "$@" >"$work/out" 2>&1 || got=$?
  if [[ $got == "$code" ]] && grep -qE -- "$pattern" "$work/out"; then line "$name" "exit $got: $(grep -oE -- "$pattern" "$work/out" | head -n 1)" "says so, loses nothing" holds
  else line "$name" "exit $got: $(tail -n 1 "$work/out" | cut -c1-160)" "exit $code, '$pattern'" short; fi
}
same() { cmp -s "$work/whole/$weights" "$1/$weights" && line "$2, then resumed" "the undisturbed run's adapter" "to the bit" holds || line "$2, then resumed" "another adapter" "to the bit" short; }
mounted() { [[ $EUID == 0 ]] && mkdir -p "$2" && mount "${@:3}" none "$2" 2>/dev/null || { line "$1" "needs root and mounts" "" not-run; return 1; }; }

full_disk() {
  mounted "disk full" "$work/small" -t tmpfs -o size=2m || return
  fault "disk full at the last checkpoint" 1 'could not be written: .*No space left on device.*last good checkpoint: .*step-[0-9]+' \
    run "$work/small/run" checkpoint.every=1 checkpoint.keep=99 train.max_steps=200
  grep -q 'The run goes on and tries again' "$work/out" && line "disk full on the way" "goes on, tries again" "says so" holds || line "disk full on the way" "not said" "says so" short
  mount -o remount,size=64m "$work/small"
  "$graft" resume "$work/small/run" --quiet >/dev/null 2>&1
  run "$work/long" train.max_steps=200 >/dev/null 2>&1
  cmp -s "$work/long/$weights" "$work/small/run/$weights" && line "disk full, then room again" "the undisturbed run's adapter" "to the bit" holds || line "disk full, then room again" "another adapter" "to the bit" short
}
full_metrics() {   # only the metrics' disk is full
  mkdir -p "$work/metrics" && mounted "metrics on a full disk" "$work/small" -t tmpfs -o size=8k || return
  ln -s "$work/small/metrics.jsonl" "$work/metrics/metrics.jsonl" && head -c 5000 /dev/zero >"$work/small/filler"
  fault "metrics on a full disk" 0 'metrics.jsonl: cannot be written: No space left on device; the run goes on' run "$work/metrics" train.max_steps=40 --overwrite
}
faults() {
  run "$work/whole" >/dev/null 2>&1
  full_disk; umount "$work/small" 2>/dev/null
  full_metrics; umount "$work/small" 2>/dev/null
  if mounted "read-only folder" "$work/fixed" -t tmpfs -o ro; then
    fault "read-only folder" 1 'Read-only file system' run "$work/fixed/run"; umount "$work/fixed"
  fi
  cp -r $golden "$work/model"
  run "$work/run" model.path="$work/model" "data.train=[$work/model/data/train.jsonl]" train.max_steps=6 >/dev/null 2>&1
  again() { "$graft" resume "$work/run" train.max_steps=12; }
  mv "$work/model/data/train.jsonl" "$work/aside"
  fault "vanished data file" 2 'train.jsonl: no such file' again
  tac "$work/aside" >"$work/model/data/train.jsonl"
  fault "changed data file" 2 'train.jsonl changed\): put it back' again
  cp "$work/aside" "$work/model/data/train.jsonl"; cp "$work/model/config.json" "$work/aside"
  sed -i 's/"rms_norm_eps": [^,]*/"rms_norm_eps": 0.01/' "$work/model/config.json"
  fault "changed base" 2 "base model's files changed" again
  cp "$work/aside" "$work/model/config.json"
  damaged() { rm -rf "$work/hurt"; cp -r "$work/whole" "$work/hurt"; rm -rf "$work/hurt/adapter"; }
  damaged; truncate -s -9 "$work/hurt/checkpoints/step-12/optimizer.safetensors"
  fault "truncated checkpoint" 0 'step-12: not a complete checkpoint, skipped: optimizer.safetensors has another size' "$graft" resume "$work/hurt"
  same "$work/hurt" "truncated checkpoint"
  damaged; printf '\x55' | dd of="$work/hurt/checkpoints/step-12/adapter.safetensors" bs=1 seek=900 conv=notrunc 2>/dev/null
  fault "bit-flipped checkpoint" 0 'step-12: adapter.safetensors is damaged \(its hash differs\); the checkpoint before it is taken' "$graft" resume "$work/hurt"
  same "$work/hurt" "bit-flipped checkpoint"
  "$graft" finetune "$work/job.yaml" output_dir="$work/held" train.max_steps=100000 >/dev/null 2>&1 & local pid=$!
  until [[ -s $work/held/metrics.jsonl ]]; do sleep 0.05; done
  fault "two processes in one folder" 2 "process $pid is at work" "$graft" resume "$work/held"
  kill -TERM $pid; local code=0 start=$SECONDS; wait $pid || code=$?
  [[ $code == 3 ]] && line "SIGTERM" "exit 3 in $((SECONDS - start)) s, step saved" "saves within 30 s" "$(at_most $((SECONDS - start)) 30)" || line "SIGTERM" "exit $code" "exit 3" short
  fault "SIGTERM, then resumed" 0 'goes on from step' "$graft" resume "$work/held" train.max_steps=1
  run "$work/closed" >&- 2>&-; code=$?
  line "stdout closed" "exit $code" "exit 0" "$(at_most $code 0)"; same "$work/closed" "stdout closed"
  if "$build/tests/test_recipes" --gtest_filter='FaultsTest.OutOfMemory*' >/dev/null 2>&1; then line "out of device memory (a fake)" "said: what was asked for, what is held, which options" "says so" holds
  else line "out of device memory (a fake)" "the test fails" "says so" short; fi
}

checkpoint_stall() {
  ninja -C "$build" checkpoint_stall >/dev/null 2>&1
  local json; json=$("$build/benchmarks/checkpoint_stall" "$work/stall") || { line checkpoint_stall failed runs short; return; }
  local held; held=$(field "$json" held_up_ms)
  line "checkpoint stall, LoRA of 8B size ($(field "$json" trained) numbers, on this CPU)" "$held ms" "<= 10 ms of a step of 1 s" "$(at_most "$held" 10)"
  line "a CPU step of $(field "$json" step_ms) ms beside the writing" "$(field "$json" step_beside_ms) ms; all written in $(field "$json" written_ms) ms" reported holds
}
fuzz() {
  tests/fuzz/run.sh --long "${FUZZ_MINUTES:-}" | tee -a "$out"
  [[ ${PIPESTATUS[0]} == 0 ]] || short=1
}

# plan_job BOUND DEVICE MODEL ROWS COLUMNS DTYPE WORDS...: what the plan says of a step against the most that its tensors took
plan_job() {
  local bound=$1 device=$2 json off; shift 2
  json=$("$train_step" "$1" "$2" "$3" "$4" "$device" 1 "${@:5}" 2>/dev/null) || { line "plan: $*" "failed" "runs" short; return; }
  read -r off planned measured < <("$python" -c 'import json, sys; j = json.loads(sys.argv[1]); p, m = j["planned_bytes"], j["tensor_peak_bytes"]
print(f"{100 * (p / m - 1):+.1f} {p / 2**20:.1f} {m / 2**20:.1f}")' "$json")
  line "plan: $(basename "$1") ${*:2}" "planned $planned MiB, measured $measured: $off %" "within $bound %" "$(at_most "${off#[+-]}" "$bound")"
}
plan_jobs() {
  local tiny=$golden/config.json small=configs/shapes/smollm2-135m.json
  plan_job "$1" "$2" $tiny 16 128 fp32 lora
  plan_job "$1" "$2" $tiny 8 256 fp32 full
  plan_job "$1" "$2" $small 2 256 fp32 lora
  plan_job "$1" "$2" $small 2 128 fp32 lora nf4 recompute
  plan_job "$1" "$2" $small 4 128 bf16 prompt_tuning
  plan_job "$1" "$2" $small 1 128 fp32 full recompute
}
train_step=$release/benchmarks/train_step
[[ -x $train_step ]] || train_step=$build/benchmarks/train_step
plan() { plan_jobs 10 cpu; }
gpu_plan() {
  "$graft" doctor | grep -q 'none usable' && { line "plan on a GPU" "no GPU here" "within 5 %" not-run; return; }
  plan_jobs 5 cuda
  plan_job 5 cuda configs/shapes/llama-3.1-8b.json 1 2048 bf16 lora nf4 double recompute
}
documented() {
  local text
  text=$(tests/recipes/documented_commands.sh "$graft" 2>&1 | tail -n 1)
  [[ $text == *" ran" ]] && line "documented commands" "${text#*: }" "all" holds || line "documented commands" "$text" "all" short
}

bars=(kills repeatable power_loss faults checkpoint_stall fuzz plan documented)
((gpu)) && bars=(gpu_kills repeatable gpu_plan)
run_bars "${bars[@]}"
