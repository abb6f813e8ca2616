#!/usr/bin/env bash
# The main job, end to end: data, accuracy before, fine-tuning, accuracy after, adapter, merged model, three answers.
# setup.sh quickstart calls it; it runs again at any time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
graft=${GRAFT:-build/release/graft}
die() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }
[[ -x $graft ]] || die "$graft is not built: run ./setup.sh"

sh configs/wordnet/make_data.sh runs/wordnet-data || die "the data could not be made"
echo "== accuracy before: the base model, scored by the log-likelihood of each label"
"$graft" evaluate .deps/models/SmolLM2-135M-Instruct.Q4_1.gguf runs/wordnet-data/heldout.jsonl --chat-template configs/wordnet/plain.jinja \
  --batch-size 50 || die "the evaluation failed"
echo "== fine-tuning"
start=$SECONDS
"$graft" finetune configs/wordnet.yaml --overwrite || die "the fine-tuning failed"
echo "== trained and evaluated in $((SECONDS - start)) s"
echo "== exporting the merged model"
rm -rf runs/wordnet-merged
"$graft" export runs/wordnet --merged runs/wordnet-merged --dtype fp32 || die "the export failed"
echo "== three answers of the merged model"
while read -r gloss; do
  printf '%s\n   -> ' "$gloss"
  "$graft" generate runs/wordnet-merged --max-new-tokens 8 \
    --prompt "Which kind of thing does this describe: animal, body, food, person, place or plant? \"$gloss\"" 2>/dev/null || die "the generation failed"
done <<'GLOSSES'
a small wild cat with tufted ears and a short tail
a flat bread baked in a clay oven and eaten with curry
someone who repairs shoes for a living
GLOSSES
echo "== done: the adapter is in runs/wordnet/adapter (PEFT's format), the merged model in runs/wordnet-merged"
