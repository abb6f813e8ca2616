#include <algorithm>

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/io/atomic_file.h"
#include "graft/io/safetensors.h"
#include "safetensors_header.h"

namespace graft {
namespace {

struct Place {
  uint64_t offset = 0, size = 0;  // in the file
  bool written = false;
};

std::string quoted(const std::string& text, const std::string& file) {
  try {
    return Json(text).dump();
  } catch (const Json::exception&) {
    fail("{}: the name '{}' is not valid UTF-8", file, to_line(text));
  }
}

// Written by hand, line by line, because a header may name a million tensors.
std::string header_text(const std::vector<SafetensorsWriter::Entry>& entries, const std::map<std::string, std::string>& metadata,
                        const std::string& file) {
  std::string text = "{\"__metadata__\":{";
  for (const auto& [key, value] : metadata) text += fmt::format("{}:{},", quoted(key, file), quoted(value, file));
  text.back() = '}';  // metadata always has a format
  uint64_t at = 0;
  for (const auto& entry : entries) {
    const uint64_t end = at + checked_size(entry.dtype, entry.shape, fmt::format("{}: tensor '{}'", file, entry.name));
    text += fmt::format(",{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", quoted(entry.name, file),
                        dtype_name(entry.dtype), fmt::join(entry.shape, ","), at, end);
    at = end;
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begin at a multiple of 8
  check(text.size() <= safetensors_header_limit,
        "{}: {} tensors need a header of {} bytes, the format allows {}: write several files", file, entries.size(), text.size(),
        safetensors_header_limit);
  return text;
}

}  // namespace

struct SafetensorsWriter::Impl {
  Impl(const std::filesystem::path& path, std::vector<Entry> entries, std::map<std::string, std::string> metadata)
      : name(path.string()), file(path) {
    metadata.emplace("format", "pt");  // Hugging Face's readers insist on it
    std::ranges::sort(entries, {},
                      [](const Entry& entry) { return std::pair(write_rank(entry.dtype), std::string_view(entry.name)); });
    const std::string header = header_text(entries, metadata, name);
    uint64_t at = 8 + header.size();
    for (const Entry& entry : entries) {
      const uint64_t size = checked_size(entry.dtype, entry.shape, name);
      const bool fresh = entry.name != "__metadata__" && places.emplace(entry.name, Place{at, size}).second;
      check(fresh, "{}: tensor '{}' is {}", name, entry.name,
            entry.name == "__metadata__" ? "a reserved name" : "announced twice");
      at += size;
    }
    const uint64_t length = header.size();
    file.write(std::as_bytes(std::span(&length, 1)));
    file.write(header);
  }

  std::string name;
  AtomicFile file;
  std::map<std::string, Place, std::less<>> places;
};

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& file, std::vector<Entry> entries,
                                     std::map<std::string, std::string> metadata)
    : impl_(std::make_unique<Impl>(file, std::move(entries), std::move(metadata))) {}
SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  const auto found = impl_->places.find(name);
  check(found != impl_->places.end(), "{}: tensor '{}' was not announced", impl_->name, name);
  Place& place = found->second;
  check(!place.written, "{}: tensor '{}' is written twice", impl_->name, name);
  check(bytes.size() == place.size, "{}: tensor '{}' takes {} bytes, {} came", impl_->name, name, place.size, bytes.size());
  impl_->file.write_at(place.offset, bytes);
  place.written = true;
}

void SafetensorsWriter::finish() {
  for (const auto& [name, place] : impl_->places)
    check(place.written, "{}: tensor '{}' was announced but not written", impl_->name, name);
  impl_->file.commit();
}

}  // namespace graft
