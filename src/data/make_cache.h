#pragma once
// The parallel pass that turns sources into one or two cache files, or into all of their faults.
#include <filesystem>
#include <stop_token>
#include <vector>

#include "cache.h"
#include "stream.h"

namespace graft {

/// What every part of the pass looks at.
struct PassSetting {
  const DataOptions& options;
  const Tokenizer& tokenizer;
  const ChatTemplate* chat;
  int64_t vocab_size;
  const Task& task;
};

/// Where the samples go. Empty held_out: all to `rest`.
struct SplitFiles {
  std::filesystem::path rest, held_out;
};

/// Faults of any sample: a RequestError that lists them, and no file is written.
void make_cache(const std::vector<SourceInput>& sources, const PassSetting& setting, const SplitFiles& files, uint64_t key,
                const std::stop_token& stop);

}  // namespace graft
