#pragma once
// Sources with their files found and their formats known, and the stream of their records.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "graft/core/error.h"
#include "graft/data/dataset.h"
#include "graft/data/formats.h"
#include "graft/data/records.h"

namespace graft {

struct SourceInput {
  DataSource options;
  std::vector<std::filesystem::path> files;
  const DataFormat* format = nullptr;  // null: there are no records to tell it by
  /// Whether its records become conversations: by format, or (prompt_completion) by what the first record holds.
  bool chat = false;
};

/// Finds files and formats, of those that serve the task (null: any); every source's fault goes to `errors`.
std::vector<SourceInput> open_sources(const std::vector<DataSource>& sources, Answer answer, ErrorList& errors, const TaskKind* task = nullptr);

struct RecordChunk {
  size_t source = 0, file = 0;  // file: within the source
  std::vector<Record> records;
  std::string fault;  // the file could not be read on
};

/// All sources' records in order, in chunks of one file each. A file that cannot be read on ends with a fault; the rest goes on.
class SourceStream {
 public:
  explicit SourceStream(const std::vector<SourceInput>& sources) : sources_(sources) {}
  bool next(RecordChunk& chunk);

 private:
  void fill(RecordChunk& chunk);
  const std::vector<SourceInput>& sources_;
  std::unique_ptr<RecordReader> reader_;
  size_t source_ = 0, file_ = 0;
  int64_t taken_ = 0;  // of this source
};

/// Runs `f`; what it throws is passed on as a RequestError that begins with the record's place.
template <class F>
auto in_place(const std::filesystem::path& file, const Record& record, F&& f) {
  try {
    return f();
  } catch (const std::exception& e) {
    refuse("{}: line {}: {}", file.string(), record.line, e.what());
  }
}

/// The sample that a record holds. Errors name file and line.
Sample read_sample(const Record& record, const SourceInput& source, size_t file, Answer answer);

}  // namespace graft
