// Any bytes as a .jsonl, .jsonl.gz or .json file: every record is read in every format or refused with its place. An array that
// the parser accepts as a whole splits into the same elements.
#include <cstdint>
#include <cstdlib>
#include <optional>

#include "graft/core/error.h"
#include "graft/data/formats.h"
#include "graft/data/records.h"
#include "graft/data/sample.h"
#include "scratch_file.h"

namespace {

using graft::Json;
const std::map<std::string, std::string> no_columns;

void expect(bool ok) {
  if (!ok) std::abort();
}

// The elements of an array file, or nothing if it is refused.
std::optional<Json> elements(const std::filesystem::path& path) {
  try {
    const auto reader = graft::open_records(path);
    Json list = Json::array();
    for (graft::Record record; reader->next(record);) list.push_back(graft::parse_record(record, path));
    return list;
  } catch (const graft::RequestError&) {
    return std::nullopt;
  }
}

void compare_with_parser(const std::filesystem::path& path) {
  Json whole;
  try {
    const std::string text = graft::read_text(path);
    if (text.find('\0') != std::string::npos) return;  // ends the text for the parser
    whole = graft::parse_json(text, "file");
  } catch (const graft::RequestError&) {
    return;
  }
  const auto list = elements(path);
  expect(whole.is_array() ? list == whole : !list);
}

void read_in_every_format(const graft::Record& record, const std::filesystem::path& path) {
  Json json;
  try {
    json = graft::parse_record(record, path);
  } catch (const graft::RequestError& e) {
    expect(std::string_view(e.what()).starts_with(path.string() + ": line "));
    return;
  }
  if (!json.is_object()) return;
  for (const graft::DataFormat* format : graft::data_formats()) {
    try {
      graft::sample_hash(format->read(graft::Fields(json, no_columns, graft::Answer::optional)));
    } catch (const graft::RequestError&) {
    }
  }
}

void read_lines(const std::filesystem::path& path) {
  try {
    const auto reader = graft::open_records(path);
    for (graft::Record record; reader->next(record);) read_in_every_format(record, path);
  } catch (const graft::RequestError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static graft::ScratchFile lines("input.jsonl"), array("input.json");
  lines.fill(data, size);
  read_lines(lines.path());
  array.fill(data, size);
  compare_with_parser(array.path());
  return 0;
}
