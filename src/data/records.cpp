#include "graft/data/records.h"

#include <algorithm>
#include <optional>

#include "graft/core/error.h"
#include "graft/io/line_reader.h"
#include "graft/io/mapped_file.h"

namespace graft {

namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

class LineRecords : public RecordReader {
 public:
  explicit LineRecords(const std::filesystem::path& file) : reader_(file) {}
  bool next(Record& record) override {
    std::string_view line;
    while (reader_.next(line)) {
      if (std::ranges::all_of(line, is_space)) continue;
      record = {std::string(line), reader_.line_number(), 0};
      return true;
    }
    return false;
  }

 private:
  LineReader reader_;
};

// Splits an array's elements without parsing them: brackets and strings are all that has to be told apart.
class ArrayRecords : public RecordReader {
 public:
  explicit ArrayRecords(const std::filesystem::path& file) : file_(file) {
    const auto bytes = file_.bytes();
    text_ = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    if (text_.starts_with("\xEF\xBB\xBF")) line_start_ = at_ = 3;
    skip_space();
    if (at_ == text_.size()) return;  // an empty file has no samples
    require(text_[at_] != '{', "{}: a .json file holds one array of samples; if this one has an object a line, name it .jsonl",
            name());
    require(text_[at_] == '[', "{}: expected an array of samples, it begins with '{}'", name(), text_.substr(at_, 1));
    ++at_;
    open_ = true;
  }

  bool next(Record& record) override {
    if (!open_) return false;
    skip_space();
    if (peek() == ']') return close();
    if (!first_) {
      require(peek() == ',', "{}: line {}: expected ',' or ']' after a sample", name(), line_);
      ++at_;
      skip_space();
    }
    first_ = false;
    record.line = line_;
    record.column = at_ - line_start_;
    const size_t begin = at_;
    skip_element();
    require(at_ > begin, "{}: line {}: expected a sample", name(), line_);
    record.text.assign(text_.substr(begin, at_ - begin));
    return true;
  }

 private:
  std::string name() const { return file_.path().string(); }

  char peek() const {
    require(at_ < text_.size(), "{}: line {}: the file ends inside its array", name(), line_);
    return text_[at_];
  }

  void advance() {
    if (peek() == '\n') {
      ++line_;
      line_start_ = at_ + 1;
    }
    ++at_;
  }

  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) advance();
  }

  void skip_string() {
    advance();
    while (peek() != '"') {
      if (peek() == '\\') advance();
      advance();
    }
    advance();
  }

  // To the ',' or ']' after the element, or to the space before it.
  void skip_element() {
    int64_t depth = 0;
    while (true) {
      const char c = peek();
      if (depth == 0 && (c == ',' || c == ']' || is_space(c))) return;
      if (c == '"') {
        skip_string();
        continue;
      }
      depth += (c == '{' || c == '[') - (c == '}' || c == ']');
      advance();
    }
  }

  bool close() {
    ++at_;
    skip_space();
    require(at_ == text_.size(), "{}: line {}: text after the array", name(), line_);
    open_ = false;
    return false;
  }

  MappedFile file_;
  std::string_view text_;
  size_t at_ = 0, line_start_ = 0;
  int64_t line_ = 1;
  bool open_ = false, first_ = true;
};

// The first byte that no UTF-8 text can have at its place (Unicode 15, table 3-7).
std::optional<size_t> invalid_utf8(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  for (size_t i = 0; i < text.size();) {
    const unsigned lead = byte(i), next = byte(i + 1);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (lead < 0xC2 || lead > 0xF4 || next < low || next > high) return i;
    for (size_t k = 2; k < length; ++k)
      if ((byte(i + k) & 0xC0) != 0x80) return i;
    i += length;
  }
  return std::nullopt;
}

}  // namespace

std::unique_ptr<RecordReader> open_records(const std::filesystem::path& file) {
  if (file.extension() == ".json") return std::make_unique<ArrayRecords>(file);
  return std::make_unique<LineRecords>(file);
}

Json parse_record(const Record& record, const std::filesystem::path& file) {
  if (const auto fault = invalid_utf8(record.text)) {
    const std::string_view before = std::string_view(record.text).substr(0, *fault);
    const size_t newline = before.rfind('\n');
    const size_t byte = newline == std::string_view::npos ? record.column + *fault : *fault - newline - 1;
    refuse("{}: line {}: invalid UTF-8 at byte {}", file.string(), record.line + std::ranges::count(before, '\n'), byte + 1);
  }
  // The parser would take a NUL for the end and pass over what follows.
  require(record.text.find('\0') == std::string::npos, "{}: line {}: not valid JSON: a NUL byte", file.string(), record.line);
  return parse_json(record.text, fmt::format("{}: line {}", file.string(), record.line));
}

}  // namespace graft
