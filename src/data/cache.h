#pragma once
// A prepared split on disk. Layout, little-endian: a Header; the samples, one behind the other, each padded to 4: its ids (int32), and
// learn bytes, or (the header's `task` is not causal_lm) labels (int32: one a token, or a single one) and type bytes; one Entry a sample;
// notes (JSON: files, reports, the task). Written in one stream; read back mapped, every offset checked.
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "graft/core/hash.h"
#include "graft/data/dataset.h"
#include "graft/data/sample.h"
#include "graft/io/atomic_file.h"
#include "graft/io/mapped_file.h"

namespace graft {

inline constexpr char cache_magic[] = "GRAFTDS2";

struct CacheHeader {
  char magic[8];
  uint64_t key, content, samples, tokens, entries_at, notes_at, notes_size, task;   // task: a TaskKind
};

struct CacheEntry {
  uint64_t offset;
  uint64_t line;
  uint64_t text_hash;  // of what the file says: finds duplicates between splits
  uint32_t length, targets;
  uint32_t file, source;
};

/// Labels of a sample of so many tokens: how many numbers the cache holds for them.
inline uint64_t label_count(TaskKind task, uint64_t length) {
  return task == TaskKind::causal_lm ? 0 : task == TaskKind::token_classification ? length : 1;
}
/// Bytes of a sample: ids, labels, and a byte a token (learn or type), padded to 4.
inline uint64_t sample_bytes(TaskKind task, uint64_t length) { return ((length + label_count(task, length)) * 4 + length + 3) / 4 * 4; }

struct Dataset::Impl {
  explicit Impl(MappedFile mapped) : file(std::move(mapped)) {}
  MappedFile file;
  std::span<const CacheEntry> entries;
  std::vector<std::string> files;
  std::vector<SourceReport> reports;
  Task task;
  uint64_t content = 0;
  int64_t targets = 0;
};

/// Streams a split to its file. One thread at a time.
class CacheWriter {
 public:
  CacheWriter(const std::filesystem::path& file, uint64_t key, std::vector<SourceReport> sources, const Task& task = {});
  void add(const SampleTokens& tokens, CacheEntry origin);
  SourceReport& report(size_t source) { return reports_[source]; }
  int64_t size() const { return static_cast<int64_t>(entries_.size()); }
  /// Fills in the reports' lengths, then makes the file appear.
  void finish(const std::vector<std::string>& files);

 private:
  void put(std::string_view bytes);
  void flush();
  void fill_reports();
  AtomicFile out_;
  Task task_;
  uint64_t key_, written_ = 0;
  Hash content_;
  std::string buffer_;
  std::vector<CacheEntry> entries_;
  std::vector<SourceReport> reports_;
};

/// The split in `file`, or nothing if there is none; a damaged or foreign one is nothing too, with a warning.
std::optional<Dataset> open_cache(const std::filesystem::path& file, uint64_t key, const Log& log);

}  // namespace graft
