#include "graft/io/gguf_writer.h"

#include <map>

#include "graft/core/error.h"
#include "graft/io/atomic_file.h"

namespace graft {
namespace {

constexpr uint64_t alignment = 32;

// GGUF's own numbers of value types.
enum ValueType : uint32_t { u32 = 4, i32 = 5, f32 = 6, boolean = 7, text = 8, list = 9 };

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}
void put_text(std::string& out, std::string_view value) {
  put<uint64_t>(out, value.size());
  out += value;
}

template <class T>
GgufKey scalar(std::string name, ValueType type, T value) {
  GgufKey key{std::move(name), {}};
  put<uint32_t>(key.bytes, type), put(key.bytes, value);
  return key;
}

template <class T, class Put>
GgufKey array(std::string name, ValueType type, const std::vector<T>& values, Put put_item) {
  GgufKey key{std::move(name), {}};
  put<uint32_t>(key.bytes, list), put<uint32_t>(key.bytes, type), put<uint64_t>(key.bytes, values.size());
  for (const T& value : values) put_item(key.bytes, value);
  return key;
}

uint64_t aligned(uint64_t size) { return (size + alignment - 1) / alignment * alignment; }

}  // namespace

GgufKey gguf_key(std::string name, uint32_t value) { return scalar(std::move(name), u32, value); }
GgufKey gguf_key(std::string name, float value) { return scalar(std::move(name), f32, value); }
GgufKey gguf_flag(std::string name, bool value) { return scalar(std::move(name), boolean, static_cast<uint8_t>(value)); }
GgufKey gguf_key(std::string name, std::string_view value) {
  GgufKey key{std::move(name), {}};
  put<uint32_t>(key.bytes, text), put_text(key.bytes, value);
  return key;
}
GgufKey gguf_key(std::string name, const std::vector<std::string>& values) {
  return array(std::move(name), text, values, put_text);
}
GgufKey gguf_key(std::string name, const std::vector<int32_t>& values) {
  return array(std::move(name), i32, values, put<int32_t>);
}
GgufKey gguf_key(std::string name, const std::vector<float>& values) { return array(std::move(name), f32, values, put<float>); }

size_t GgufWriter::Entry::elements() const {
  size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<size_t>(size);
  return count;
}

struct GgufWriter::Impl {
  Impl(const std::filesystem::path& path, const std::vector<GgufKey>& keys, const std::vector<Entry>& entries)
      : name(path.string()), file(path) {
    std::string header = "GGUF";
    put<uint32_t>(header, 3), put<uint64_t>(header, entries.size()), put<uint64_t>(header, keys.size());
    for (const GgufKey& key : keys) put_text(header, key.name), header += key.bytes;
    uint64_t at = 0;
    for (const Entry& entry : entries) {
      const size_t row = entry.shape.empty() ? 1 : static_cast<size_t>(entry.shape.back());
      check(row % ggml_block_size(entry.type) == 0, "{}: tensor '{}': rows of {} are no whole blocks of {}", name, entry.name,
            row, ggml_type_name(entry.type));
      require(entry.name.size() <= 64, "{}: tensor '{}': the format allows names of 64 bytes", name, entry.name);
      put_text(header, entry.name), put<uint32_t>(header, static_cast<uint32_t>(entry.shape.size()));
      for (auto size = entry.shape.rbegin(); size != entry.shape.rend(); ++size)
        put<uint64_t>(header, static_cast<uint64_t>(*size));
      put<uint32_t>(header, entry.type), put<uint64_t>(header, at);
      const Place place{at, ggml_bytes(entry.type, entry.elements())};
      check(places.emplace(entry.name, place).second, "{}: tensor '{}' is announced twice", name, entry.name);
      at = aligned(at + place.size);
    }
    header.resize(aligned(header.size()));
    start = header.size();
    file.write(header);
    if (at > 0)
      file.write_at(start + at - 1, std::as_bytes(std::span("", 1)));  // as long as it will be, zero where nothing is yet
  }

  struct Place {
    uint64_t offset = 0, size = 0;  // in the data section
    bool written = false;
  };
  std::string name;
  AtomicFile file;
  uint64_t start = 0;
  std::map<std::string, Place, std::less<>> places;
};

GgufWriter::GgufWriter(const std::filesystem::path& file, const std::vector<GgufKey>& keys, const std::vector<Entry>& entries)
    : impl_(std::make_unique<Impl>(file, keys, entries)) {}
GgufWriter::GgufWriter(GgufWriter&&) noexcept = default;
GgufWriter::~GgufWriter() = default;
const std::filesystem::path& GgufWriter::aside() const { return impl_->file.temporary(); }

void GgufWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  const auto found = impl_->places.find(name);
  check(found != impl_->places.end(), "{}: tensor '{}' was not announced", impl_->name, name);
  Impl::Place& place = found->second;
  check(!place.written, "{}: tensor '{}' is written twice", impl_->name, name);
  check(bytes.size() == place.size, "{}: tensor '{}' takes {} bytes, {} came", impl_->name, name, place.size, bytes.size());
  impl_->file.write_at(impl_->start + place.offset, bytes);
  place.written = true;
}

void GgufWriter::finish() {
  for (const auto& [name, place] : impl_->places)
    check(place.written, "{}: tensor '{}' was announced but not written", impl_->name, name);
  impl_->file.commit();
}

}  // namespace graft
