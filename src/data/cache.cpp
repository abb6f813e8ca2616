// Reading a cache back, trusting no byte of it.
#include "cache.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "graft/core/error.h"
#include "graft/core/json.h"

namespace graft {

namespace {

SourceReport report_from(const Json& j) {
  SourceReport r;
  j.at("path").get_to(r.path);
  j.at("format").get_to(r.format);
  j.at("samples").get_to(r.samples);
  j.at("tokens").get_to(r.tokens);
  j.at("targets").get_to(r.targets);
  j.at("truncated").get_to(r.truncated);
  j.at("empty_answers").get_to(r.empty_answers);
  j.at("repeat").get_to(r.repeat);
  j.at("dropped").get_to(r.dropped);
  j.at("p50").get_to(r.length_p50);
  j.at("p90").get_to(r.length_p90);
  j.at("max").get_to(r.length_max);
  return r;
}

void fault(bool ok, const char* what) { require(ok, "{}", what); }

CacheHeader checked_header(std::string_view bytes, uint64_t key) {
  CacheHeader h{};
  fault(bytes.size() >= sizeof h, "shorter than its header");
  std::memcpy(&h, bytes.data(), sizeof h);
  fault(std::memcmp(h.magic, cache_magic, sizeof h.magic) == 0 && h.key == key, "of another version or other data");
  fault(h.entries_at >= sizeof h && h.entries_at % alignof(CacheEntry) == 0 && h.entries_at <= bytes.size(), "misplaced index");
  fault(h.samples <= (bytes.size() - h.entries_at) / sizeof(CacheEntry), "index longer than the file");
  fault(h.notes_at == h.entries_at + h.samples * sizeof(CacheEntry), "misplaced notes");
  fault(h.notes_size == bytes.size() - h.notes_at, "wrong size");
  fault(h.task <= static_cast<uint64_t>(TaskKind::regression), "unknown task");
  return h;
}

// The labels of a sample that lies at `at`: within the task's classes, or finite. Counts them.
uint64_t checked_labels(const Task& task, std::string_view bytes, uint64_t at, uint64_t length) {
  uint64_t targets = 0;
  for (uint64_t i = 0; i < label_count(task.kind, length); ++i) {
    int32_t label = 0;
    std::memcpy(&label, bytes.data() + at + (length + i) * 4, sizeof label);
    const bool is_class = label >= 0 && label < static_cast<int64_t>(task.labels.size());
    const bool fits = task.kind == TaskKind::regression ? std::isfinite(std::bit_cast<float>(label)) : is_class || label == no_label;
    fault(fits, "a label of no class");
    targets += label != no_label;
  }
  return targets;
}

// Samples lie behind one another without gaps, in order of sources (Batches counts on that); their bytes hash to what was
// written.
void check_samples(const Dataset::Impl& data, const CacheHeader& h, std::string_view bytes) {
  uint64_t at = sizeof(CacheHeader), tokens = 0;
  std::vector<int64_t> by_source(data.reports.size(), 0);
  uint32_t source = 0;
  for (const CacheEntry& entry : data.entries) {
    const uint64_t size = sample_bytes(data.task.kind, entry.length);
    fault(entry.offset == at && size <= h.entries_at - at, "misplaced sample");
    fault(entry.file < data.files.size() && entry.source < by_source.size() && entry.source >= source, "sample of no source");
    source = entry.source;
    ++by_source[source];
    const bool labelled = data.task.kind != TaskKind::causal_lm;
    const auto learnt = static_cast<uint64_t>(labelled ? 0 : std::ranges::count(bytes.substr(at + uint64_t{entry.length} * 4, entry.length), '\1'));
    fault((labelled ? checked_labels(data.task, bytes, at, entry.length) : learnt) == entry.targets, "wrong number of targets");
    at += size;
    tokens += entry.length;
  }
  fault(tokens == h.tokens, "wrong number of tokens");
  for (size_t i = 0; i < by_source.size(); ++i) fault(by_source[i] == data.reports[i].samples, "wrong number of samples");
  Hash content;
  content.add(bytes.substr(sizeof(CacheHeader), at - sizeof(CacheHeader)));
  for (const auto& report : data.reports) content.add(std::bit_cast<uint64_t>(report.repeat)).add(uint64_t(report.samples));
  fault(content.value() == h.content, "content does not match its hash");
}

std::shared_ptr<const Dataset::Impl> map_cache(const std::filesystem::path& file, uint64_t key) {
  auto data = std::make_shared<Dataset::Impl>(MappedFile(file));
  const std::string_view bytes(reinterpret_cast<const char*>(data->file.bytes().data()), data->file.bytes().size());
  const CacheHeader h = checked_header(bytes, key);
  data->entries = {reinterpret_cast<const CacheEntry*>(bytes.data() + h.entries_at), h.samples};
  data->content = h.content;
  try {
    const Json notes = parse_json(bytes.substr(h.notes_at), "notes");
    data->files = notes.at("files").get<std::vector<std::string>>();
    for (const Json& report : notes.at("reports")) data->reports.push_back(report_from(report));
    data->task.kind = static_cast<TaskKind>(h.task);
    notes.at("labels").get_to(data->task.labels);
    data->task.pooling = pooling_named(notes.at("pooling").get<std::string>());
  } catch (const Json::exception& e) {
    refuse("notes: {}", e.what());
  }
  check_samples(*data, h, bytes);
  for (const CacheEntry& entry : data->entries) data->targets += entry.targets;
  return data;
}

}  // namespace

std::optional<Dataset> open_cache(const std::filesystem::path& file, uint64_t key, const Log& log) {
  if (!std::filesystem::exists(file)) return std::nullopt;
  try {
    return Dataset(map_cache(file, key));
  } catch (const Error& e) {
    log.warn("data: {} is not used: {}; it is made again", file.string(), e.what());
    return std::nullopt;
  }
}

}  // namespace graft
