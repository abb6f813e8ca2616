#pragma once
// What a run learned as llama.cpp loads it: the merged model with its tokenizer and template, or the LoRA alone, in a GGUF file.
#include <filesystem>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "merge.h"
#include "verify.h"

namespace graft {

struct GgufOptions {
  std::string type = "f16";                 // of matrices: f32 | f16 | bf16 | q8_0 | q4_0 | q4_k
  MergeInto into = MergeInto::dequantized;  // of a quantised base
  bool verify = true;                       // compare with the live model on sample text
};
std::vector<std::string> gguf_type_names();

struct GgufReport : MergeDifference {
  int64_t tensors = 0, merged = 0;
  /// How many matrices are stored in another type because their rows are no whole blocks of the one asked for: by that type's
  /// name.
  std::map<std::string, int64_t> fallbacks;
};

/// Tensor by tensor; the file appears whole or not at all. Vectors, norms and position tables are in fp32; beside 4-bit matrices
/// the embedding and the head are in q8_0; a row that a type's blocks do not divide goes to the next wider type: q4_k to q8_0,
/// q8_0 and q4_0 to f16. A GGUF's own tokenizer keys are kept as they lie. RequestError: what a GGUF or llama.cpp cannot say of
/// the model, by name.
GgufReport export_gguf(const Target& target, const std::filesystem::path& file, const GgufOptions& options, const Log& log,
                       std::stop_token stop = {});

/// RequestError if the file is a folder, or the base itself.
void check_gguf_place(const std::filesystem::path& file, const Target& target);

/// The LoRA alone, as llama.cpp's --lora takes it, in fp32; scales of all kinds are folded in. RequestError: an adapter that is
/// no LoRA, and parts that are none, by name.
void export_gguf_adapter(const Target& target, const std::filesystem::path& file, const Log& log);

}  // namespace graft
