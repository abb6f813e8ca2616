#include <algorithm>
#include <bit>
#include <cstring>

#include "cache.h"
#include "graft/core/json.h"

namespace graft {

namespace {

static_assert(std::endian::native == std::endian::little, "the cache is written as memory has it");
constexpr size_t flush_size = size_t{4} << 20;

template <class T>
std::string_view as_bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

Json to_json(const SourceReport& r) {
  return {{"path", r.path},
          {"format", r.format},
          {"samples", r.samples},
          {"tokens", r.tokens},
          {"targets", r.targets},
          {"truncated", r.truncated},
          {"empty_answers", r.empty_answers},
          {"repeat", r.repeat},
          {"dropped", r.dropped},
          {"p50", r.length_p50},
          {"p90", r.length_p90},
          {"max", r.length_max}};
}

}  // namespace

CacheWriter::CacheWriter(const std::filesystem::path& file, uint64_t key, std::vector<SourceReport> sources, const Task& task)
    : out_(file), task_(task), key_(key), reports_(std::move(sources)) {
  const CacheHeader none{};  // all zeros: written in earnest by finish()
  put({reinterpret_cast<const char*>(&none), sizeof none});
  content_ = Hash();
}

void CacheWriter::put(std::string_view bytes) {
  content_.add(bytes);
  buffer_ += bytes;
  written_ += bytes.size();
  if (buffer_.size() >= flush_size) flush();
}

void CacheWriter::flush() {
  out_.write(buffer_);
  buffer_.clear();
}

void CacheWriter::add(const SampleTokens& tokens, CacheEntry origin) {
  origin.offset = written_;
  origin.length = static_cast<uint32_t>(tokens.ids.size());
  origin.targets = static_cast<uint32_t>(target_count(tokens));
  entries_.push_back(origin);
  const bool labelled = task_.kind != TaskKind::causal_lm;
  put(as_bytes(tokens.ids));
  if (labelled) put(as_bytes(tokens.labels));
  put(as_bytes(labelled ? tokens.types : tokens.learn));
  put(std::string((4 - written_ % 4) % 4, '\0'));
}

void CacheWriter::fill_reports() {
  std::vector<std::vector<int64_t>> lengths(reports_.size());
  for (const CacheEntry& entry : entries_) {
    SourceReport& report = reports_[entry.source];
    ++report.samples;
    report.tokens += entry.length;
    report.targets += entry.targets;
    lengths[entry.source].push_back(entry.length);
  }
  for (size_t i = 0; i < reports_.size(); ++i) {
    auto& all = lengths[i];
    if (all.empty()) continue;
    std::ranges::sort(all);
    // Nearest rank: the smallest length that so large a share of samples does not exceed.
    const auto percentile = [&](size_t percent) { return all[(all.size() * percent + 99) / 100 - 1]; };
    reports_[i].length_p50 = percentile(50);
    reports_[i].length_p90 = percentile(90);
    reports_[i].length_max = all.back();
  }
}

void CacheWriter::finish(const std::vector<std::string>& files) {
  fill_reports();
  Hash content = content_;
  CacheHeader h{};
  for (const auto& report : reports_) {
    content.add(std::bit_cast<uint64_t>(report.repeat)).add(uint64_t(report.samples));
    h.tokens += uint64_t(report.tokens);
  }
  std::memcpy(h.magic, cache_magic, sizeof h.magic);
  h.key = key_;
  h.content = content.value();
  h.samples = entries_.size();
  h.task = static_cast<uint64_t>(task_.kind);
  put(std::string((8 - written_ % 8) % 8, '\0'));
  h.entries_at = written_;
  put(as_bytes(entries_));
  h.notes_at = written_;
  Json notes{{"files", files}, {"reports", Json::array()}, {"labels", task_.labels}, {"pooling", name_of(task_.pooling)}};
  for (const auto& report : reports_) notes["reports"].push_back(to_json(report));
  const std::string line = to_line(notes);
  h.notes_size = line.size();
  put(line);
  flush();
  out_.write_at(0, std::as_bytes(std::span(&h, 1)));
  out_.commit();
}

}  // namespace graft
