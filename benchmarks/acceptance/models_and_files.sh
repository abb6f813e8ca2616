#!/usr/bin/env bash
# The bars of issue 8, measured afresh: a line a bar, `name | figure | bound | holds` (or short, or not-run). Non-zero if any is short.
#   models_and_files.sh [--only NAME] [--out FILE]
# NAME: families vectors tokenizers.
# Needs ./setup.sh test to have run. GRAFT_MINILM_TOKENIZER: MiniLM's tokenizer.json, compared too where it is there.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
source benchmarks/acceptance/bars.sh
vocabularies=.deps/llama.cpp/models

# Logits, cached tokens, 20 LoRA steps, folders and merges of every family and option, against transformers and PEFT.
families() { oracle families "$python" tests/oracle/families.py "$build" --all; }
# Every file of texts and ids that llama.cpp has, so that a new one that no test reads shows.
vectors() {
  local files passed text
  files=$(find $vocabularies -name 'ggml-vocab-*.gguf.inp' 2>/dev/null | wc -l)
  text=$("$build/tests/test_text" --gtest_filter='*gguf_vectors*' 2>&1) || true
  passed=$(grep -cE '^\[       OK \] .*gguf_vectors' <<<"$text")
  line "llama.cpp's tokenizer vectors: files whose ids and texts are equal" "$passed" "all of $files" "$([[ $passed == "$files" && $files -gt 0 ]] && echo holds || echo short)"
}
tokenizers() {
  oracle "real tokenizers" "$python" tests/oracle/tokenizer_oracle.py "$build/tests/tokenizer_dump" $vocabularies "$model"
  oracle "trained tokenizers" "$python" tests/oracle/trained_oracle.py "$build/tests/tokenizer_dump" $vocabularies --all
  oracle "trained encoders' tokenizers" "$python" tests/oracle/wordpiece_oracle.py "$build/tests/tokenizer_dump"
}

run_bars families vectors tokenizers
