#include "safetensors_header.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <set>

#include "graft/core/error.h"

namespace graft {
namespace {

struct DtypeRow {
  Dtype dtype;
  std::string_view name;
  size_t size;
};
// In the order of writing.
constexpr DtypeRow dtypes[] = {
    {Dtype::U64, "U64", 8}, {Dtype::I64, "I64", 8}, {Dtype::F64, "F64", 8},         {Dtype::F32, "F32", 4},
    {Dtype::U32, "U32", 4}, {Dtype::I32, "I32", 4}, {Dtype::BF16, "BF16", 2},       {Dtype::F16, "F16", 2},
    {Dtype::U16, "U16", 2}, {Dtype::I16, "I16", 2}, {Dtype::F8_E4M3, "F8_E4M3", 1}, {Dtype::F8_E5M2, "F8_E5M2", 1},
    {Dtype::I8, "I8", 1},   {Dtype::U8, "U8", 1},   {Dtype::BOOL, "BOOL", 1},
};

const DtypeRow& row_of(Dtype dtype) {
  for (const DtypeRow& row : dtypes)
    if (row.dtype == dtype) return row;
  fail("no such dtype: {}", static_cast<int>(dtype));
}

// Follows the header through its three levels: tensors' names, their fields, the items of shape and data_offsets.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& file) : file_(file) {}
  Header take() { return std::move(header_); }

  bool start_object(size_t) override {
    require(depth_ == 0 || (depth_ == 1 && !in_list_), "{}: {} is an object, expected {}", file_, place(), expected());
    ++depth_;
    if (depth_ == 2 && !in_metadata()) header_.entries.emplace_back().name = name_;
    return true;
  }

  bool key(string_t& key) override {
    if (depth_ == 1) {
      require(names_.insert(key).second, "{}: '{}' is given twice", file_, key);
      name_ = key;
    } else {
      field_ = key;
      const bool known = in_metadata() || key == "dtype" || key == "shape" || key == "data_offsets";
      require(known, "{}: {} is not a field of the format", file_, place());
      require(fields_.insert(key).second, "{}: {} is given twice", file_, place());
    }
    return true;
  }

  bool end_object() override {
    if (--depth_ == 0) return true;
    if (!in_metadata())
      for (const char* field : {"dtype", "shape", "data_offsets"})
        require(fields_.contains(field), "{}: tensor '{}' has no '{}'", file_, name_, field);
    fields_.clear();
    field_.clear();
    return true;
  }

  bool string(string_t& value) override {
    if (depth_ == 2 && in_metadata()) {
      header_.metadata[field_] = value;
      return true;
    }
    if (depth_ != 2 || field_ != "dtype" || in_list_) wrong("a string");
    for (const DtypeRow& row : dtypes)
      if (row.name == value) return header_.entries.back().dtype = row.dtype, true;
    refuse("{}: tensor '{}': dtype '{}' is not one that graft reads", file_, name_, value);
  }

  bool start_array(size_t) override {
    if (depth_ != 2 || in_list_ || in_metadata() || field_ == "dtype") wrong("a list");
    in_list_ = true;
    items_.clear();
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (!in_list_) wrong("a number");
    require(value <= static_cast<uint64_t>(INT64_MAX), "{}: {}: {} is too large", file_, place(), value);
    items_.push_back(static_cast<int64_t>(value));
    return true;
  }

  bool end_array() override {
    in_list_ = false;
    HeaderEntry& entry = header_.entries.back();
    if (field_ == "shape") return entry.shape = items_, true;
    require(items_.size() == 2, "{}: {} has {} items, expected begin and end", file_, place(), items_.size());
    entry.begin = static_cast<uint64_t>(items_[0]);
    entry.end = static_cast<uint64_t>(items_[1]);
    return true;
  }

  bool null() override { wrong("null"); }
  bool boolean(bool) override { wrong("a bool"); }
  bool number_integer(number_integer_t) override { wrong("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { wrong("a real number"); }
  bool binary(binary_t&) override { wrong("binary"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    refuse("{}: its header is not valid JSON (byte {})", file_, position);
  }

 private:
  bool in_metadata() const { return name_ == "__metadata__"; }
  std::string place() const {
    if (depth_ == 0) return "the header";
    if (depth_ == 1) return fmt::format("'{}'", name_);
    return fmt::format("'{}' of {}'{}'", field_, in_metadata() ? "" : "tensor ", name_);
  }
  std::string_view expected() const {
    if (depth_ < 2) return "an object";
    if (in_metadata() || field_ == "dtype") return "a string";
    return in_list_ ? "a whole number" : "a list of whole numbers";
  }
  [[noreturn]] void wrong(std::string_view came) const { refuse("{}: {} is {}, expected {}", file_, place(), came, expected()); }

  const std::string& file_;
  Header header_;
  std::set<std::string> names_, fields_;
  std::string name_, field_;
  std::vector<int64_t> items_;
  int depth_ = 0;
  bool in_list_ = false;
};

}  // namespace

size_t element_size(Dtype dtype) { return row_of(dtype).size; }
std::string_view dtype_name(Dtype dtype) { return row_of(dtype).name; }
int write_rank(Dtype dtype) { return static_cast<int>(&row_of(dtype) - dtypes); }

uint64_t checked_size(Dtype dtype, const std::vector<int64_t>& shape, std::string_view what) {
  uint64_t size = element_size(dtype);
  for (const int64_t dim : shape) {
    const bool overflow = dim < 0 || __builtin_mul_overflow(size, static_cast<uint64_t>(dim), &size);
    require(!overflow, "{}: a tensor of shape [{}] cannot be", what, fmt::join(shape, ", "));
  }
  return size;
}

Header parse_safetensors_header(std::string_view text, const std::string& file) {
  // The parser would skip a byte order mark and stop at a zero byte; neither is part of JSON.
  const size_t zero = text.find('\0');
  require(!text.starts_with('\xEF') && zero == text.npos, "{}: its header is not valid JSON (byte {})", file,
          zero == text.npos ? 1 : zero + 1);
  HeaderReader reader(file);
  nlohmann::json::sax_parse(text, &reader);
  return reader.take();
}

}  // namespace graft
