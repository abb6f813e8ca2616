#!/usr/bin/env bash
# Runs every `graft ...` line of the sh blocks in README.md and docs/, and every job in configs/, on a tiny model. usage: documented_commands.sh PROGRAM
# The rule: the lines run in a folder where the names that the pages use exist (job.yaml, runs/mine, a/, book.txt ...); MODEL, ADAPTER, PATH,
# RUN and JOB stand for such, OUT and out/ for a folder that is new each time; [parts in brackets] are left out, "..." is a question. A finetune
# writes to a folder of its own. `graft` in running text must be followed by a verb that exists.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD graft=$(realpath "$1") golden=$PWD/tests/golden/tiny_chat
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GRAFT_CACHE=$work/cache OMP_NUM_THREADS=1
pages=(README.md docs/*.md)
cd "$work"
fail() { echo "documented_commands: $*" >&2; exit 1; }

cat > job.yaml <<YAML
model: {path: $golden}
adapter: {rank: 4, alpha: 8}
data: {train: [{path: $golden/data/train.jsonl, limit: 8}], val: [{path: $golden/data/val.jsonl, limit: 4}]}
train: {micro_batch_size: 4, gradient_accumulation_steps: 2, dtype: fp32}
eval: {max_new_tokens: 2}
device: cpu
output_dir: runs/mine
YAML
mkdir data && cp "$golden"/data/*.jsonl data/ && cp "$golden/data/train.jsonl" data/support.jsonl
seq 2 40 > lengths.txt && printf 'What is a cow?\n' > prompts.txt && head -c 3000 "$root/docs/design.md" > book.txt
"$graft" finetune job.yaml --quiet && cp -r runs/mine runs/a && cp -r runs/mine runs/b && cp -r runs/mine/adapter a && cp -r a b

mkdir -p new
# Every job in configs/, beside the pages: on the tiny model, two steps of its own settings.
printf '{"text": "a cow", "label": "yes"}\n{"text": "a pie", "label": "no"}\n' > texts.jsonl
printf '{"tokens": ["a", "cow"], "tags": ["O", "B"]}\n' > tags.jsonl
printf '{"text": "a cow is an animal"}\n{"text": "a pie is food"}\n' > raw.jsonl
run_config() {
  local config=$1 name data=$golden/data/train.jsonl more=() settings out
  name=$(basename "$config" .yaml) out=new/$name.txt
  head -n 8 "$config" | grep -qE "graft finetune (configs/)?$name" || fail "configs/$name.yaml does not say how it is run"
  case $name in
    classifier*) data=texts.jsonl; [[ $name == classifier ]] && more=('adapter.target_modules=[q_proj, v_proj]') ;;
    token_classifier) data=tags.jsonl more=('adapter.target_modules=[q_proj, v_proj]') ;;
    pretraining) data=raw.jsonl ;;
    wordnet) more=(model.chat_template="$root/configs/wordnet/plain.jinja") ;;
  esac
  settings=(model.path="$golden" data.train.0.path="$data" data.train.0.limit=4 data.max_length=120 device=cpu train.dtype=fp32 train.max_steps=2 train.micro_batch_size=2
            train.gradient_accumulation_steps=1 output_dir="new/$name" "${more[@]}")
  # What it holds out comes from the same file: of four samples a share may be none.
  if grep -q 'val_size' "$config"; then settings+=(data.val_size=0 "data.val=[$data]"); else settings+=("data.val=[$data]"); fi
  [[ $name != several ]] || { "$graft" plan "$config" "${settings[@]}" >"$out" 2>&1 && grep -q '^memory at its fullest' "$out"; } || { cat "$out"; fail "graft plan $name"; }
  "$graft" finetune "$config" --quiet "${settings[@]}" >"$out" 2>&1 || { cat "$out"; fail "graft finetune $name"; }
}
configs=("$root"/configs/*.yaml)
(for config in "${configs[@]}"; do run_config "$config"; done) & beside=$!

commands=0
# The pages' names made real; a comment ends a line.
real() {
  sed -E 's/ +#.*//; s/ \[[^]]*\]//g; s/\| .*//' <<<"$1" |
    sed -E "s#\bMODEL\b#$golden#; s#\bADAPTER\b#a#; s#\b(PATH|RUN)\b#runs/mine#g; s#\bJOB\b#job.yaml#; s#\b(OUT|out)(/|\b)#new/$commands#; s#\"\.\.\.\"#\"What is a cow?\"#"
}
run() {   # PAGE LINE
  local command code=0; command=$(real "$2")
  commands=$((commands + 1))
  case $command in
    'graft finetune'*) command+=" output_dir=new/run$commands train.max_steps=2" ;;
    'graft chat'*) command+=' --max-new-tokens 2' ;;
    'graft generate'*) command+=' --max-new-tokens 2' ;;
    # A shape becomes the tiny model's, its rows short ones.
    'graft bench'*) command=$(sed -E "s#(llama|smollm2|qwen2.5|gemma)-[0-9.-]+[mb]#$golden/config.json data.max_length=40#; s#--batch [0-9x]+#--batch 2x40#" <<<"$command")
                    command+=' --seconds 0.05 device=cpu train.dtype=fp32' ;;
    'graft new '*) command=${command/job.yaml/new/job$commands.yaml} ;;
  esac
  eval "graft() { '$graft' \"\$@\"; }; $command" >out.txt 2>&1 </dev/null || code=$?
  ((code == 0)) || { cat out.txt; fail "$1: '$2', run as '$command', exits with $code"; }
}

verbs=$("$graft" --help | sed -nE 's/^  ([a-z]+) .*/\1/p')
for page in "${pages[@]}"; do
  [[ $page == docs/design.md ]] && continue   # a plan: it names verbs to come
  while read -r line; do run "$page" "$line"; done < <(awk '/^```/ { inside = /^```sh/; next } inside && /^graft /' "$root/$page")
  while read -r verb; do grep -qx "$verb" <<<"$verbs" || fail "$page: there is no verb '$verb'"; done < <(grep -oE '`graft [a-z]+' "$root/$page" | sed 's/.* //' | sort -u)
done
while read -r message; do
  grep -rqF -- "$message" "$root"/src "$root"/recipes || fail "docs/troubleshooting.md: no source says '$message'"
done < <(sed -nE 's/^\| `([^`]+)` \|.*/\1/p' "$root/docs/troubleshooting.md")
((commands >= 25)) || fail "only $commands commands were found"

wait $beside || fail "a config above"
echo "documented_commands: $commands commands of the pages and ${#configs[@]} configs ran"
