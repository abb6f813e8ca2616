#pragma once
// Samples of random ids, for measuring: the trainer takes them as it takes any other.
#include <cstdint>
#include <filesystem>
#include <span>

#include "graft/data/dataset.h"

namespace graft {

/// A sample a length, every token of it learnt. They are written to `file`, which may go once this returns: it is mapped.
Dataset random_dataset(std::span<const int64_t> lengths, int64_t vocab_size, uint64_t seed, const std::filesystem::path& file);

}  // namespace graft
