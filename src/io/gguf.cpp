#include "graft/io/gguf.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "ggml_types.h"
#include "gguf_values.h"
#include "graft/core/error.h"
#include "graft/core/table.h"
#include "lfs_pointer.h"

namespace graft {
namespace {

static_assert(std::endian::native == std::endian::little, "graft reads little-endian files in place");

constexpr size_t max_key = 65535, max_name = 64, max_dims = 4;

struct Info {
  std::string name;
  GgufTensor tensor;
  uint64_t offset = 0, size = 0;  // in the data section
};

// Dimensions are stored innermost first; a row is a whole number of blocks.
void read_shape(Cursor& in, Info& info) {
  const auto dims = in.read<uint32_t>("dimension count");
  require(dims <= max_dims, "{}: {} dimensions, the format allows {}", in.where(), dims, max_dims);
  uint64_t elements = 1;
  for (uint32_t i = 0; i < dims; ++i) {
    const int64_t dim = signed_value(in.read<uint64_t>("dimensions"), in.where());
    info.tensor.shape.insert(info.tensor.shape.begin(), dim);
    const bool overflow = __builtin_mul_overflow(elements, static_cast<uint64_t>(dim), &elements);
    require(!overflow, "{}: its shape [{}] is too large", in.where(), fmt::join(info.tensor.shape, ", "));
  }
  info.tensor.type = in.read<uint32_t>("type");
  const GgmlType* type = find_ggml_type(info.tensor.type);
  require(type != nullptr, "{}: unknown tensor type {}", in.where(), info.tensor.type);
  const uint64_t row = dims == 0 ? 1 : static_cast<uint64_t>(info.tensor.shape.back());
  require(row % type->block == 0, "{}: rows of {} elements, {} needs a multiple of {}", in.where(), row, type->name, type->block);
  const bool overflow = __builtin_mul_overflow(elements / type->block, type->bytes, &info.size);
  require(!overflow, "{}: its shape [{}] is too large", in.where(), fmt::join(info.tensor.shape, ", "));
}

Info read_info(Cursor& in, const std::string& file, uint64_t number) {
  Info info;
  in.enter(fmt::format("{}: tensor {} of the list", file, number + 1));
  info.name = in.string("name", max_name);
  in.enter(fmt::format("{}: tensor '{}'", file, info.name));
  read_shape(in, info);
  info.offset = in.read<uint64_t>("offset");
  return info;
}

// No two tensors share bytes: such a file was not written by any tool, and would hide a mix-up.
void check_overlap(std::vector<Info>& infos, const std::string& file) {
  std::vector<const Info*> order;
  for (const Info& info : infos)
    if (info.size > 0) order.push_back(&info);
  std::ranges::sort(order, {}, &Info::offset);
  for (size_t i = 1; i < order.size(); ++i)
    require(order[i - 1]->offset + order[i - 1]->size <= order[i]->offset, "{}: tensors '{}' and '{}' overlap", file,
            order[i - 1]->name, order[i]->name);
}

uint32_t read_version(Cursor& in) {
  const auto magic = in.read<uint32_t>("magic number");
  require(magic == 0x46554747, "{}: not a GGUF file (it does not begin with 'GGUF')", in.where());
  const auto version = in.read<uint32_t>("version");
  require(version == 0 || (version & 0xffff) != 0, "{}: a big-endian GGUF file; graft reads little-endian ones", in.where());
  require(version == 2 || version == 3, "{}: GGUF version {}; graft reads versions 2 and 3", in.where(), version);
  return version;
}

uint64_t checked_alignment(const std::optional<int64_t>& given, const std::string& file) {
  const int64_t alignment = given.value_or(32);
  require(alignment > 0 && alignment <= 1 << 20 && alignment % 8 == 0, "{}: general.alignment is {}, expected a multiple of 8",
          file, alignment);
  return static_cast<uint64_t>(alignment);
}

void read_keys(Cursor& in, std::span<const std::byte> bytes, uint64_t count, const std::string& file,
               std::map<std::string, GgufValue, std::less<>>& keys,
               std::vector<std::pair<std::string, std::span<const std::byte>>>& raw) {
  for (uint64_t i = 0; i < count; ++i) {
    in.enter(fmt::format("{}: key {} of the list", file, i + 1));
    std::string key = in.string("name", max_key);
    in.enter(fmt::format("{}: key '{}'", file, key));
    const size_t begin = in.position();
    const auto type = in.read<uint32_t>("type");
    GgufValue value = read_gguf_value(in, type);
    raw.emplace_back(key, bytes.subspan(begin, in.position() - begin));
    require(keys.emplace(std::move(key), std::move(value)).second, "{}: given twice", in.where());
  }
}

// Gives a tensor its bytes of the data section.
void place(Info& info, std::span<const std::byte> data, uint64_t alignment, const std::string& file) {
  require(info.offset % alignment == 0, "{}: tensor '{}': its offset {} is not a multiple of {}", file, info.name, info.offset,
          alignment);
  require(info.offset <= data.size() && info.size <= data.size() - info.offset,
          "{}: tensor '{}': {} bytes at {} of the data, but the file has {} bytes of data: it was cut short", file, info.name,
          info.size, info.offset, data.size());
  info.tensor.bytes = data.subspan(info.offset, info.size);
}

template <class T>
std::optional<T> value_of(const GgufFile& file, std::string_view key, std::string_view expected) {
  const auto found = file.keys().find(key);
  if (found == file.keys().end()) return std::nullopt;
  const T* value = std::get_if<T>(&found->second);
  require(value != nullptr, "{}: key '{}': expected {}", file.path().string(), key, expected);
  return *value;
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path) : file_(path) {
  const std::string file = path.string();
  const auto bytes = file_.bytes();
  refuse_lfs_pointer(bytes, path);
  Cursor in(bytes, file);
  version_ = read_version(in);
  const uint64_t tensor_count = in.count("tensor count", 24), key_count = in.count("key count", 13);
  read_keys(in, bytes, key_count, file, keys_, raw_keys_);
  std::vector<Info> infos;
  for (uint64_t i = 0; i < tensor_count; ++i) infos.push_back(read_info(in, file, i));
  const uint64_t alignment = checked_alignment(integer("general.alignment"), file);
  const uint64_t start = (in.position() + alignment - 1) / alignment * alignment;
  for (Info& info : infos) {
    place(info, bytes.subspan(std::min<uint64_t>(start, bytes.size())), alignment, file);
    require(tensors_.emplace(info.name, info.tensor).second, "{}: tensor '{}' is given twice", file, info.name);
    names_.push_back(info.name);
  }
  check_overlap(infos, file);
}

bool GgufFile::contains(std::string_view tensor) const { return tensors_.contains(tensor); }

const GgufTensor& GgufFile::tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) refuse("{}: no tensor '{}'{}", path().string(), name, did_you_mean(name, names_));
  return found->second;
}

std::optional<std::string> GgufFile::string(std::string_view key) const { return value_of<std::string>(*this, key, "a string"); }
std::optional<double> GgufFile::real(std::string_view key) const { return value_of<double>(*this, key, "a real number"); }
std::optional<bool> GgufFile::boolean(std::string_view key) const { return value_of<bool>(*this, key, "a bool"); }

std::optional<int64_t> GgufFile::integer(std::string_view key) const {
  const auto found = keys_.find(key);
  if (found == keys_.end()) return std::nullopt;
  if (const auto* large = std::get_if<uint64_t>(&found->second))
    return signed_value(*large, fmt::format("{}: key '{}'", path().string(), key));
  return value_of<int64_t>(*this, key, "an integer");
}

const GgufArray* GgufFile::array(std::string_view key) const {
  const auto found = keys_.find(key);
  if (found == keys_.end()) return nullptr;
  const auto* array = std::get_if<GgufArray>(&found->second);
  require(array != nullptr, "{}: key '{}': expected an array", path().string(), key);
  return array;
}

}  // namespace graft
