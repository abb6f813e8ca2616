#pragma once
// What a run learned, as others load it: a PEFT folder, or the merged model as a Hugging Face folder.
#include <filesystem>
#include <stop_token>
#include <string>

#include "graft/core/log.h"
#include "merge.h"
#include "session.h"
#include "verify.h"

namespace graft {

struct MergeOptions {
  std::string dtype = "auto";              // of the stored tensors; auto: bf16, or the base's own where that is fp16 or fp32
  int64_t max_shard_bytes = int64_t{5} << 30;
  MergeInto into = MergeInto::dequantized; // of a quantised base
  bool verify = true;                      // compare with the live model on sample text
};

struct MergeReport : MergeDifference {
  int64_t tensors = 0, merged = 0, shards = 0;
};

/// Streams tensor by tensor: fp32 accumulation, one rounding. The folder appears whole or not at all. Fails if a non-zero adapter
/// changed nothing, or holds values that are not finite.
MergeReport export_merged(const Target& target, const std::filesystem::path& out, const MergeOptions& options, const Log& log,
                          std::stop_token stop = {});

/// The adapter as a PEFT folder.
void export_adapter(const Target& target, const std::filesystem::path& out, const Log& log);

}  // namespace graft
