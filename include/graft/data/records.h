#pragma once
// From a source's path to its records: one sample's JSON text each, with the line that it starts on. Bytes are not trusted here
// and not judged either: UTF-8 and JSON are checked by who parses a record, in parallel.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graft/core/json.h"

namespace graft {

struct Record {
  std::string text;
  int64_t line = 0;   // from 1
  size_t column = 0;  // bytes of that line before the record
};

class RecordReader {
 public:
  virtual ~RecordReader() = default;
  /// False at the end. Faults of the file itself (a broken gzip stream, an array that is not closed) are RequestErrors.
  virtual bool next(Record& record) = 0;
};

/// A .jsonl or .jsonl.gz file line by line (blank lines skipped, BOM and CR taken off), or a .json file's array element by
/// element.
std::unique_ptr<RecordReader> open_records(const std::filesystem::path& file);

/// The files that a path or glob names, in order of name. None, a folder, Parquet, CSV: a RequestError that says what to do.
std::vector<std::filesystem::path> source_files(const std::string& path);

/// The record as JSON. Errors: "FILE: line 2: invalid UTF-8 at byte 14", or the parser's.
Json parse_record(const Record& record, const std::filesystem::path& file);

}  // namespace graft
