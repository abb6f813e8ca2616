#pragma once
// A tokenizer in a GGUF's terms: byte-level BPE as `gpt2` with the name of its pre-tokenizer, SentencePiece's BPE as `llama`.
#include <vector>

#include "graft/io/gguf_writer.h"
#include "graft/text/tokenizer.h"

namespace graft {

/// The tokenizer.ggml.* keys, with a token for each of the embedding's rows. RequestError: a tokenizer that llama.cpp does not
/// have, or that graft knows no name for. Where a tokenizer.json says more than the keys can, texts tell (check_same_ids).
std::vector<GgufKey> gguf_tokenizer_keys(const Tokenizer& tokenizer, int64_t rows);

/// RequestError with a text that the two encode or decode differently: a set of tricky ones, and each added token of `ours` amid other
/// text.
void check_same_ids(const Tokenizer& ours, const Tokenizer& read);

}  // namespace graft
