#pragma once
// TensorBoard's event files: length-framed records with checksums, each an `Event` protocol buffer. Only what scalars and texts
// need.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "graft/core/log.h"
#include "graft/io/append_file.h"

namespace graft {

/// CRC-32C (Castagnoli), as RFC 3720 defines it.
uint32_t crc32c(std::string_view bytes);

/// A record as it stands in the file: length, its masked checksum, the bytes, theirs.
std::string framed_record(std::string_view bytes);

/// One more file in a folder of events. Its name sorts behind those of earlier sessions, and it begins by telling readers that
/// events from `first_step` on in those are void: a run that goes on from a checkpoint writes them again.
class EventFile {
 public:
  EventFile(const std::filesystem::path& folder, int64_t first_step, Log log = {});
  void scalar(std::string_view tag, int64_t step, double value);
  void text(std::string_view tag, int64_t step, std::string_view markdown);
  /// Until then nothing is in the file.
  void flush();

 private:
  void write(int64_t step, std::string_view field);
  AppendFile out_;
  std::string records_;
};

}  // namespace graft
