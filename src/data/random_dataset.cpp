#include "graft/data/random_dataset.h"

#include <random>

#include "cache.h"
#include "graft/core/error.h"

namespace graft {

Dataset random_dataset(std::span<const int64_t> lengths, int64_t vocab_size, uint64_t seed, const std::filesystem::path& file) {
  CacheWriter writer(file, seed, {SourceReport{.path = "random ids", .format = "random"}});
  std::mt19937_64 generator(seed);
  for (const int64_t length : lengths) {
    require(length >= 2, "a sample of {} tokens: one is read and the next predicted, so it takes two", length);
    SampleTokens sample;
    for (int64_t t = 0; t < length; ++t) sample.ids.push_back(static_cast<int32_t>(generator() % static_cast<uint64_t>(vocab_size)));
    sample.learn.assign(sample.ids.size(), 1);
    sample.learn.front() = 0;
    writer.add(sample, {.offset = 0, .line = static_cast<uint64_t>(writer.size()) + 1, .text_hash = generator()});
  }
  writer.finish({"random ids"});
  const auto dataset = open_cache(file, seed, {});
  check(dataset.has_value(), "{}: what was just written cannot be read", file.string());
  return *dataset;
}

}  // namespace graft
