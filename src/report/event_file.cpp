#include "graft/report/event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstring>


namespace graft {
namespace {

namespace fs = std::filesystem;

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0x82f63b78u : 0);  // the polynomial, bits reversed
    table[i] = value;
  }
  return table;
}
constexpr auto crc_table = make_crc_table();

/// Checksums of data that itself holds checksums would be weak: TFRecord rotates and shifts them.
uint32_t masked(uint32_t crc) { return std::rotr(crc, 15) + 0xa282ead8u; }

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// --- Protocol buffers: a field is a key (number and wire type) and its value
// -----------------------------------------------------
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value > 127; value >>= 7) bytes += static_cast<char>(value | 128);
  return bytes + static_cast<char>(value);
}
std::string integer(int number, int64_t value) {
  return varint(static_cast<uint64_t>(number) << 3) + varint(static_cast<uint64_t>(value));
}
std::string real64(int number, double value) { return varint(static_cast<uint64_t>(number) << 3 | 1) + little_endian(value); }
std::string real32(int number, float value) { return varint(static_cast<uint64_t>(number) << 3 | 5) + little_endian(value); }
std::string message(int number, std::string_view content) {  // and strings
  return varint(static_cast<uint64_t>(number) << 3 | 2) + varint(content.size()) + std::string(content);
}

/// Event.summary with one value.
std::string summary(std::string_view tag, std::string_view rest) {
  return message(5, message(1, message(1, tag) + std::string(rest)));
}

/// events.out.tfevents.<seconds>.<host>.<process>: readers take a folder's files in the order of their names, so the seconds must
/// rise.
fs::path next_name(const fs::path& folder) {
  fs::create_directories(folder);
  int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  constexpr std::string_view prefix = "events.out.tfevents.";
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix))
      seconds = std::max<int64_t>(seconds, std::strtoll(name.c_str() + prefix.size(), nullptr, 10) + 1);
  }
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return folder / fmt::format("{}{}.{}.{}", prefix, seconds, host.data(), getpid());
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const unsigned char byte : bytes) crc = (crc >> 8) ^ crc_table[(crc ^ byte) & 255];
  return ~crc;
}

std::string framed_record(std::string_view bytes) {
  const std::string length = little_endian(static_cast<uint64_t>(bytes.size()));
  return length + little_endian(masked(crc32c(length))) + std::string(bytes) + little_endian(masked(crc32c(bytes)));
}

EventFile::EventFile(const fs::path& folder, int64_t first_step, Log log) : out_(next_name(folder), std::move(log)) {
  write(0, message(3, "brain.Event:2"));         // Event.file_version
  write(first_step, message(7, integer(1, 1)));  // Event.session_log {status: START}
  flush();
}

void EventFile::scalar(std::string_view tag, int64_t step, double value) {
  write(step, summary(tag, real32(2, static_cast<float>(value))));
}

void EventFile::text(std::string_view tag, int64_t step, std::string_view markdown) {
  const std::string metadata =
      message(9, message(1, message(1, "text")) + integer(4, 2));  // plugin_data {plugin_name}, DATA_CLASS_TENSOR
  const std::string tensor =
      message(8, integer(1, 7) + message(2, message(2, integer(1, 1))) + message(8, markdown));  // DT_STRING, [1]
  write(step, summary(tag, metadata + tensor));
}

void EventFile::write(int64_t step, std::string_view field) {
  const double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  records_ += framed_record(real64(1, now) + integer(2, step) + std::string(field));
}

void EventFile::flush() {
  out_.add(records_);
  records_.clear();
}

}  // namespace graft
