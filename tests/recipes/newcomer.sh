#!/usr/bin/env bash
# What the documentation says, done with the real program on a tiny model: right and wrong. usage: newcomer.sh PROGRAM
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
graft=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GRAFT_CACHE=$work/cache
golden=tests/golden/tiny_chat
job=$work/job.yaml
cat > "$job" <<YAML
model: {path: $golden}
adapter: {rank: 4, alpha: 8, dropout: 0.1}
data: {train: [$golden/data/train.jsonl], val: [$golden/data/val.jsonl]}
train: {max_steps: 20, micro_batch_size: 4, gradient_accumulation_steps: 2, learning_rate: 5e-3, dtype: fp32}
eval: {every: 10, metric: accuracy, prompts: $work/prompts.txt, max_new_tokens: 4}
checkpoint: {every: 10}
output_dir: $work/run
YAML
printf 'What is a cow?\nTell me: pie\n' > "$work/prompts.txt"
tests=0
ok() { tests=$((tests + 1)); }
# runs CODE PATTERN ARGUMENTS...: the exit code, and a pattern in what it prints
runs() {
  local code=$1 pattern=$2 got=0; shift 2
  "$graft" "$@" >"$work/out" 2>&1 || got=$?
  [[ $got == "$code" ]] || { cat "$work/out"; echo "newcomer: 'graft $*' exited $got, expected $code" >&2; exit 1; }
  grep -qE -- "$pattern" "$work/out" || { cat "$work/out"; echo "newcomer: 'graft $*' did not say '$pattern'" >&2; exit 1; }
  ok
}

runs 0 'finetune' --help
runs 0 'adapter.rank|width of the update' finetune --help
runs 0 'LibTorch' doctor
runs 0 '"additionalProperties"' schema
runs 0 'wrote' new "$work/new.yaml"
runs 2 'exists already' new "$work/new.yaml"
runs 0 'family llama' inspect $golden
runs 0 '\[\[' show "$job" -n 2
# wrong requests: all faults at once, exit 2
runs 2 'you mean  graft finetune' train "$job"
runs 2 'did you mean .resume' resum
runs 2 'rank' finetune "$job" adapter.rnak=3
runs 2 'data.max_length' finetune "$job" sequence_len=3
runs 2 'micro_batch_size' finetune "$job" train.micro_batch_size=many
runs 2 'no config' finetune "$work/absent"
runs 2 'huggingface|hf download|no such|not' finetune "$job" model.path=org/absent
runs 2 'q_porj' finetune "$job" 'adapter.target_modules=[q_porj]'
runs 2 'eval.prompts.*no such file' finetune "$job" eval.prompts=absent.txt
runs 2 'warmup' finetune "$job" train.warmup_steps=50
[[ ! -e $work/run/checkpoints ]] || { echo "newcomer: a refused job left a run" >&2; exit 1; }
# the main job
runs 0 'accuracy' finetune "$job"
for file in job.yaml metrics.jsonl adapter/adapter_config.json adapter/adapter_model.safetensors checkpoints/step-20/manifest.json \
            samples.jsonl data.json sessions.jsonl report.html; do
  [[ -s $work/run/$file ]] || { echo "newcomer: the run has no $file" >&2; exit 1; }
done
runs 2 'resume-or-start' finetune "$job"
runs 0 'goes on from step 20' finetune "$job" --resume-or-start
runs 0 'goes on from step 20' resume "$work/run" train.max_steps=24
runs 2 'allow-change' resume "$work/run" train.learning_rate=1e-2
# watching: nothing but faults; JSON for programs; a reader that went away, and streams that never were there
"$graft" resume "$work/run" train.max_steps=25 --quiet >"$work/out" 2>&1 && [[ ! -s $work/out ]] || { cat "$work/out"; echo "newcomer: --quiet said something" >&2; exit 1; }; ok
"$graft" resume "$work/run" train.max_steps=26 --json 2>/dev/null >"$work/out"
[[ $(grep -cE '^\{"event":"(step|eval|checkpoint)",.*\}$' "$work/out") == "$(wc -l <"$work/out")" ]] && grep -q '"event":"step".*"step":26,' "$work/out" ||
  { cat "$work/out"; echo "newcomer: --json is not an object a line" >&2; exit 1; }; ok
"$graft" resume "$work/run" train.max_steps=60 --json 2>/dev/null | head -n 1 >"$work/out"   # pipefail: the run itself must end well
"$graft" resume "$work/run" train.max_steps=61 >&- 2>&- || { echo "newcomer: closed streams ended a run" >&2; exit 1; }
! grep -rla 'tokens/s' "$work/run" || { echo "newcomer: messages went into the run's files" >&2; exit 1; }; ok
runs 0 'wrote .*run/report.html' report "$work/run"
runs 2 'not a run' report "$work"
# how fast: a shape on random weights, a job on its own data
shape=("$golden/config.json" device=cpu train.dtype=fp32 --seconds 0.05)
runs 0 'of it is reached' bench "${shape[@]}" --batch 2x32
runs 0 '"share_of_floor":' bench "${shape[@]}" --batch 2x32 --json
runs 0 'tokens/s' bench "$job" --seconds 0.05
runs 2 'ROWSxTOKENS' bench "${shape[@]}" --batch 2by32
runs 2 'nor is it a shape .did you mean .smollm2-135m' bench smollm2-136m
runs 0 'accuracy' evaluate "$work/run"
runs 0 'perplexity' evaluate $golden $golden/data/val.jsonl
runs 0 'differs by at most' export "$work/run" --merged "$work/merged" --adapter "$work/adapter"
runs 2 'not an empty folder' export "$work/run" --merged "$work/merged"
runs 0 '4 file' export "$work/run" --merged "$work/sharded" --max-shard-size 40KB
runs 0 'weights fit' inspect "$work/sharded"
runs 0 'rank: 4' inspect "$work/adapter"
runs 0 '.' generate "$work/merged" --prompt 'What is a cow?' --max-new-tokens 4
runs 0 '16 new answers' generate "$work/run" --data $golden/data/val.jsonl --out "$work/predictions.jsonl" --max-new-tokens 4
runs 0 '^0 new answers' generate "$work/run" --data $golden/data/val.jsonl --out "$work/predictions.jsonl" --max-new-tokens 4
runs 0 'starts from' finetune "$job" output_dir="$work/second" adapter.init_from="$work/adapter" train.max_steps=1
runs 0 'wrote .*both.html' report "$work/run" "$work/second" --out "$work/both.html"
grep -q '2 runs compared' "$work/both.html" && grep -q 'adapter.init_from' "$work/both.html" || { echo "newcomer: the comparison lacks something" >&2; exit 1; }; ok
# a chat: answers, commands, a Ctrl-C that ends nothing, and its end with its input
mkfifo "$work/input"
"$graft" chat $golden "$work/adapter" --max-new-tokens 4 <"$work/input" >"$work/out" 2>&1 &
chat=$! && exec 9>"$work/input"
said() { for _ in $(seq 200); do grep -qE -- "$1" "$work/out" && return; sleep 0.05; done; cat "$work/out"; echo "newcomer: chat did not say '$1'" >&2; exit 1; }
echo '/help' >&9 && said '/reset'
kill -INT $chat && said 'Ctrl-D ends\)'
printf 'What is a cow?\n/adapter none\n/adapter nowhere\n' >&9 && said "no adapter and no folder 'nowhere'" && said '\* none'
exec 9>&-
wait $chat || { cat "$work/out"; echo "newcomer: chat ended with $?" >&2; exit 1; }; ok
# a run that cannot be saved stops by itself and says where it was still good; fp32 overflows at once with such a rate
runs 1 'not finite.*last good checkpoint: .*step-[0-9]+' finetune "$job" output_dir="$work/hot" train.learning_rate=1e36 train.warmup_steps=3 train.max_grad_norm=0 train.max_steps=30 checkpoint.every=1
# a second process keeps out, and a killed one holds nothing
"$graft" finetune "$job" output_dir="$work/held" train.max_steps=100000 >/dev/null 2>&1 & holder=$!
until [[ -e $work/held/checkpoints ]]; do sleep 0.1; done
runs 2 "process $holder is at work" finetune "$job" output_dir="$work/held" --overwrite
kill -KILL $holder; wait $holder 2>/dev/null || true
runs 0 'done: 1 steps' finetune "$job" output_dir="$work/held" train.max_steps=1 --overwrite
# several adapters over one base
cat > "$work/several.yaml" <<YAML
model: {path: $golden}
adapters:
  first: {adapter: {method: lora, rank: 4}}
  second: {adapter: {method: prompt_tuning, num_virtual_tokens: 3}, train: {seed: 7}}
data: {train: [$golden/data/train.jsonl]}
train: {max_steps: 3, micro_batch_size: 4, dtype: fp32}
output_dir: $work/several
YAML
printf '{"messages": [{"role": "user", "content": "What is a cow?"}], "adapter": "%s"}\n' first second > "$work/routed.jsonl"
runs 2 "'model' belongs to the whole job" finetune "$work/several.yaml" adapters.first.model.path=x
runs 0 'second: done: 3 steps' finetune "$work/several.yaml"
runs 0 'second: done: 4 steps' resume "$work/several" train.max_steps=4
runs 0 'goes on from step 4' resume "$work/several/first"
runs 0 'prompt_tuning on' inspect "$work/several"
runs 0 'wrote' report "$work/several"
runs 2 'several adapters, and none is named' generate "$work/several" --prompt x
runs 2 "no adapter 'frist' \(did you mean 'first'" generate "$work/several" --use frist --prompt x
runs 0 '.' generate "$work/several" --use first --prompt 'What is a cow?' --max-new-tokens 2
runs 0 '.' generate "$work/several" --ensemble vote --prompt 'What is a cow?' --max-new-tokens 2
runs 0 '2 new answers' generate "$work/several" --data "$work/routed.jsonl" --out "$work/routed.out" --max-new-tokens 2
runs 2 'name the folder of one' evaluate "$work/several" $golden/data/val.jsonl
runs 0 'the exact sum' combine "$work/sum" "$work/several/first:0.5" "$work/run"
runs 0 'leaves out' combine "$work/low" "$work/sum" --rank 2
runs 2 'only LoRA adapters' combine "$work/no" "$work/several/second"
# full output: nothing is lost
if [[ $EUID == 0 ]] && mkdir -p "$work/small" && mount -t tmpfs -o size=300k none "$work/small" 2>/dev/null; then
  runs 1 'No space|disk|written' finetune "$job" output_dir="$work/small/run" train.max_steps=40 checkpoint.every=1 checkpoint.keep=9
  umount "$work/small"
fi
echo "newcomer: $tests commands did what the documentation says"
