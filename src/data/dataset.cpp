#include "graft/data/dataset.h"

#include "cache.h"
#include "graft/core/error.h"

namespace graft {

namespace {

const CacheEntry& entry(const Dataset::Impl& data, int64_t index) {
  check(index >= 0 && static_cast<size_t>(index) < data.entries.size(), "sample {} of {}", index, data.entries.size());
  return data.entries[static_cast<size_t>(index)];
}

}  // namespace

int64_t Dataset::size() const { return static_cast<int64_t>(impl_->entries.size()); }

SampleView Dataset::sample(int64_t index) const {
  const CacheEntry& at = entry(*impl_, index);
  const std::byte* bytes = impl_->file.bytes().data() + at.offset;
  const auto labels = label_count(impl_->task.kind, at.length);
  const auto* numbers = reinterpret_cast<const int32_t*>(bytes);
  const std::span marks(reinterpret_cast<const uint8_t*>(bytes + (at.length + labels) * sizeof(int32_t)), at.length);
  if (labels == 0) return {.ids = {numbers, at.length}, .learn = marks};
  return {.ids = {numbers, at.length}, .learn = {}, .labels = {numbers + at.length, labels}, .types = marks};
}

int64_t Dataset::length(int64_t index) const { return entry(*impl_, index).length; }
int64_t Dataset::target_count(int64_t index) const { return entry(*impl_, index).targets; }
int64_t Dataset::total_targets() const { return impl_->targets; }
const std::vector<SourceReport>& Dataset::reports() const { return impl_->reports; }
uint64_t Dataset::hash() const { return impl_->content; }
const Task& Dataset::task() const { return impl_->task; }

std::string Dataset::origin(int64_t index) const {
  const CacheEntry& at = entry(*impl_, index);
  return fmt::format("{}:{}", impl_->files[at.file], at.line);
}

uint64_t Dataset::text_hash(int64_t index) const { return entry(*impl_, index).text_hash; }

}  // namespace graft
