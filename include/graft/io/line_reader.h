#pragma once
// Lines of a text file, plain or gzip (told by the file's first bytes, not by its name), in bounded memory.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

namespace graft {

/// A byte order mark at the start and the carriage return of a line's end are not part of a line; a last line without an end
/// counts. RequestErrors name the file and line: it cannot be read, a line over `max_line` bytes, damaged or cut gzip data.
class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& file, size_t max_line = size_t{64} << 20);
  LineReader(LineReader&&) noexcept;
  LineReader& operator=(LineReader&&) noexcept;
  ~LineReader();
  /// The next line, valid until the next call; false at the end.
  bool next(std::string_view& line);
  /// Of the last line given: from 1; 0 before the first.
  int64_t line_number() const;
  /// Of the last line's first byte in the (uncompressed) text.
  int64_t byte_offset() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace graft
