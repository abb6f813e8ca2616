#!/usr/bin/env bash
# The bars of issue 8, measured afresh: a line a bar, `name | figure | bound | holds` (or short, or not-run). Non-zero if any is short.
#   models_and_files.sh [--only NAME] [--gpu] [--out FILE]
# NAME: families vectors tokenizers llama_cpp gguf_round_trip; with --gpu: gemma_2b, which runs PEFT and Unsloth beside it (RIVALS_SITE: speed_bars.sh).
# Needs ./setup.sh test to have run; llama_cpp builds llama.cpp's library at its first call (llama_cpp.sh). GRAFT_MINILM_TOKENIZER: MiniLM's tokenizer.json, compared too where it is there.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
source benchmarks/acceptance/bars.sh
source benchmarks/acceptance/speed_bars.sh
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

# What graft exports as GGUF, in llama.cpp itself: merged models and adapters of short runs of tiny models and of SmolLM2.
llama_cpp() {
  local asks
  asks=$(benchmarks/acceptance/llama_cpp.sh | tail -n 1) || { line "llama.cpp's library" "not built" "built" short; return; }
  oracle llama.cpp "$python" tests/oracle/llama_cpp.py "$(graft_program)" "$build/tests/model_dump" "$asks" "$model"
}
gguf_round_trip() { oracle "GGUF in, GGUF out" "$python" tests/oracle/gguf_round_trip.py "$(graft_program)" "$build/tests/model_dump" "$model"; }
# The release build where there is one: SmolLM2 is slow in the other.
graft_program() { [[ -x $release/graft ]] && echo "$release/graft" || echo "$build/graft"; }

gemma_2b() {
  local program
  ours "Gemma 2B bf16 4x2048" gemma-2b --batch 4x2048 train.dtype=bf16 || return 0
  share_bar "Gemma 2B bf16 4x2048" 80
  for program in peft unsloth; do
    if rival $program gemma-2b 4x2048 --seconds 10; then
      [[ $rivals == *'"oom"'* ]] && { line "Gemma 2B bf16 4x2048: $program" "out of memory" reported holds; continue; }
      line "Gemma 2B bf16 4x2048: over $program ($(calc 0 "$(field "$rivals" tokens_per_second)") tokens/s at $(calc 1 "$(field "$rivals" peak_allocated_gib)") GiB; ours $(calc 1 "$(field "$json" peak_allocated_gib)"))" \
        "$(calc 2 "$(tokens) / $(field "$rivals" tokens_per_second)")x" reported holds
    else line "Gemma 2B bf16 4x2048: over $program" "no rival here: $(reason)" reported not-run; fi
  done
}

if ((gpu)); then run_bars gemma_2b; fi
run_bars families vectors tokenizers llama_cpp gguf_round_trip
