// A folder whose weights are codes, as ModelFiles: names and shapes are those of the weights, their parts stay inside.
#include "graft/models/quantized_files.h"

#include <ATen/ATen.h>

#include <set>

#include "graft/core/error.h"
#include "graft/models/model_files.h"
#include "quantized_layout.h"

namespace graft {
namespace {

/// What a weight's state says, with every part's type and size checked against it.
struct StoredWeight {
  Scheme scheme;
  std::vector<int64_t> shape;
  float offset = 0;
  std::string scale, scale_codes, nested_scale, zero;   // names of its parts; "" where it has none
};

std::vector<int64_t> shape_of(const Json& state, const std::string& name) {
  std::vector<int64_t> shape;
  require(state.contains("shape") && state["shape"].is_array() && state["shape"].size() == 2, "{}: its state has no shape of two numbers", name);
  for (const auto& size : state["shape"]) {
    require(size.is_number_integer() && size.get<int64_t>() > 0 && size.get<int64_t>() < int64_t{1} << 31, "{}: its state has a shape of {}", name, to_line(state["shape"]));
    shape.push_back(size.get<int64_t>());
  }
  return shape;
}

template <class T>
T field(const Json& state, const char* key, const std::string& name) {
  require(state.contains(key), "{}: its state lacks '{}'", name, key);
  try {
    return state[key].get<T>();
  } catch (const Json::exception&) {
    refuse("{}: its state has '{}': {}", name, key, to_line(state[key]));
  }
}

class QuantizedFiles : public ModelFiles {
 public:
  explicit QuantizedFiles(std::unique_ptr<ModelFiles> folder) : folder_(std::move(folder)) {
    const Json& config = folder_->config()["quantization_config"];
    const std::string method = config.is_object() && config.contains("quant_method") && config["quant_method"].is_string() ? config["quant_method"].get<std::string>() : "";
    require(method == "bitsandbytes" || method == "graft", "{}: quantized by '{}'; graft reads bitsandbytes' folders and its own", where(), method);
    std::set<std::string> parts;
    for (const auto& name : folder_->tensor_names())
      if (auto stored = describe_weight(name, parts)) weights_.emplace(name, std::move(*stored));
    for (const auto& name : folder_->tensor_names())
      if (!parts.contains(name)) names_.push_back(name);
  }

  const std::string& where() const override { return folder_->where(); }
  const Json& config() const override { return folder_->config(); }
  const std::vector<std::string>& tensor_names() const override { return names_; }
  bool contains(const std::string& name) const override { return folder_->contains(name); }
  std::vector<int64_t> shape(const std::string& name) const override {
    const auto it = weights_.find(name);
    return it == weights_.end() ? folder_->shape(name) : it->second.shape;
  }
  at::ScalarType stored_dtype(const std::string& name) const override { return weights_.contains(name) ? at::kFloat : folder_->stored_dtype(name); }
  Tensor read(const std::string& name, at::ScalarType dtype) const override {
    return weights_.contains(name) ? dequantize(read_quantized(name), dtype) : folder_->read(name, dtype);
  }
  std::optional<Scheme> stored_scheme(const std::string& name) const override {
    const auto it = weights_.find(name);
    return it == weights_.end() ? std::nullopt : std::optional(it->second.scheme);
  }
  QuantizedTensor read_quantized(const std::string& name) const override {
    const StoredWeight& stored = weights_.at(name);
    QuantizedTensor q{.scheme = stored.scheme, .shape = stored.shape};
    q.codes = raw(name).flatten().view(at::kByte);
    if (!stored.scale.empty()) q.scale = raw(stored.scale);
    if (!stored.zero.empty()) q.zero = raw(stored.zero);
    if (!stored.scale_codes.empty()) {
      q.scale_codes = raw(stored.scale_codes), q.nested_scale = raw(stored.nested_scale), q.offset = stored.offset;
      q.map = at::from_blob(const_cast<float*>(kernels::dynamic_map()), {256}, at::TensorOptions(at::kFloat)).clone();
    }
    return q;
  }
  Tokenizer tokenizer() const override { return folder_->tokenizer(); }
  std::string chat_template() const override { return folder_->chat_template(); }
  Json generation_config() const override { return folder_->generation_config(); }
  int64_t file_bytes() const override { return folder_->file_bytes(); }
  std::vector<std::filesystem::path> weight_files() const override { return folder_->weight_files(); }

 private:
  Tensor raw(const std::string& name) const { return folder_->read(name, folder_->stored_dtype(name)); }

  Json state_of(const std::string& name) const {
    require(folder_->stored_dtype(name) == at::kByte, "{}: is not a state in bytes", name);
    const Tensor bytes = raw(name).flatten();
    return parse_json(std::string(static_cast<const char*>(bytes.const_data_ptr()), static_cast<size_t>(bytes.numel())), name);
  }

  /// A part's name, once its type and size are right.
  std::string part(const std::string& name, at::ScalarType dtype, int64_t count, std::set<std::string>& parts) const {
    require(folder_->contains(name), "{}: {} is missing", where(), name);
    const int64_t found = c10::multiply_integers(folder_->shape(name));
    require(folder_->stored_dtype(name) == dtype && found == count, "{}: {} holds {} {}, expected {} {}", where(), name, found, at::toString(folder_->stored_dtype(name)), count,
            at::toString(dtype));
    parts.insert(name);
    return name;
  }

  void check_points(const std::string& name, const float* points, int64_t count, std::set<std::string>& parts) const {
    const Tensor found = raw(part(name, at::kFloat, count, parts));
    const Tensor expected = at::from_blob(const_cast<float*>(points), {count}, at::TensorOptions(at::kFloat));
    require(at::allclose(found.flatten(), expected, 1e-5, 1e-7), "{}: {} has other code points than bitsandbytes' own", where(), name);
  }

  void add_constants(StoredWeight& stored, const std::string& name, std::string_view scale, std::string_view scale_codes, std::string_view nested_scale,
                     std::set<std::string>& parts) const {
    const int64_t groups = group_count(stored.scheme, stored.shape);
    if (!stored.scheme.double_quantization) {
      stored.scale = part(layout::join(name, scale), at::kFloat, groups, parts);
      return;
    }
    stored.scale_codes = part(layout::join(name, scale_codes), at::kByte, groups, parts);
    stored.nested_scale = part(layout::join(name, nested_scale), at::kFloat, (groups + kernels::nested_group - 1) / kernels::nested_group, parts);
  }

  void check_codes(const StoredWeight& stored, const std::string& name) const {
    const int64_t count = c10::multiply_integers(stored.shape), expected = stored.scheme.format->code_bits == 4 ? (count + 1) / 2 : count;
    const int64_t found = c10::multiply_integers(folder_->shape(name));
    const auto dtype = folder_->stored_dtype(name);
    require((dtype == at::kByte || dtype == at::kChar) && found == expected, "{}: {} holds {} {}, expected {} codes in bytes", where(), name, found, at::toString(dtype), expected);
  }

  StoredWeight four_bit_weight(const std::string& name, std::string_view suffix, std::set<std::string>& parts) const {
    const Json state = state_of(layout::join(name, suffix));
    parts.insert(layout::join(name, suffix));
    QuantizationOptions options;
    options.format = suffix == layout::nf4_state ? "nf4" : "fp4";
    options.block_size = field<int>(state, "blocksize", name);
    options.double_quantization = state.contains("nested_blocksize");
    StoredWeight stored{.scheme = *scheme_of(options), .shape = shape_of(state, name)};
    if (options.double_quantization) {
      require(field<int64_t>(state, "nested_blocksize", name) == kernels::nested_group, "{}: nested blocks of {}, expected {}", name, to_line(state["nested_blocksize"]),
              kernels::nested_group);
      stored.offset = field<float>(state, "nested_offset", name);
      check_points(layout::join(name, layout::nested_map), kernels::dynamic_map(), 256, parts);
    }
    check_points(layout::join(name, layout::quant_map), kernels::code_points(stored.scheme.format->codec), 16, parts);
    add_constants(stored, name, layout::absmax, layout::absmax, layout::nested_absmax, parts);
    return stored;
  }

  StoredWeight int8_weight(const std::string& name, std::set<std::string>& parts) const {
    QuantizationOptions options;
    options.format = "int8_absmax";
    StoredWeight stored{.scheme = *scheme_of(options), .shape = folder_->shape(name)};
    require(stored.shape.size() == 2, "{}: {} is not a matrix", where(), name);
    stored.scale = part(layout::beside(name, layout::scb), at::kFloat, stored.shape[0], parts);
    const std::string format = layout::beside(name, layout::weight_format);
    if (folder_->contains(format)) {
      require(raw(part(format, at::kByte, 1, parts)).item<uint8_t>() == 0, "{}: {} is not in row-major order; save it again with a newer bitsandbytes", where(), name);
    }
    return stored;
  }

  StoredWeight own_weight(const std::string& name, std::set<std::string>& parts) const {
    const Json state = state_of(layout::join(name, layout::graft_state));
    parts.insert(layout::join(name, layout::graft_state));
    QuantizationOptions options;
    options.format = field<std::string>(state, "format", name);
    options.granularity = field<std::string>(state, "granularity", name);
    options.block_size = options.granularity == "block" ? field<int>(state, "block_size", name) : 64;
    options.double_quantization = field<bool>(state, "double_quantization", name);
    options.clip = field<std::string>(state, "clip", name);
    options.clip_percentile = field<double>(state, "clip_percentile", name);
    StoredWeight stored{.scheme = *scheme_of(options), .shape = shape_of(state, name), .offset = field<float>(state, "offset", name)};
    add_constants(stored, name, layout::scale, layout::scale_codes, layout::nested_scale, parts);
    if (stored.scheme.format->affine) stored.zero = part(layout::join(name, layout::zero), at::kChar, group_count(stored.scheme, stored.shape), parts);
    return stored;
  }

  std::optional<StoredWeight> describe_weight(const std::string& name, std::set<std::string>& parts) const {
    if (!name.ends_with(".weight")) return std::nullopt;
    std::optional<StoredWeight> stored;
    for (const auto suffix : {layout::nf4_state, layout::fp4_state})
      if (folder_->contains(layout::join(name, suffix))) stored = four_bit_weight(name, suffix, parts);
    if (folder_->contains(layout::join(name, layout::graft_state))) stored = own_weight(name, parts);
    if (folder_->contains(layout::beside(name, layout::scb))) stored = int8_weight(name, parts);
    if (stored) check_codes(*stored, name);
    return stored;
  }

  std::unique_ptr<ModelFiles> folder_;
  std::vector<std::string> names_;
  std::map<std::string, StoredWeight> weights_;
};

}  // namespace

std::unique_ptr<ModelFiles> open_quantized_files(std::unique_ptr<ModelFiles> folder) { return std::make_unique<QuantizedFiles>(std::move(folder)); }

}  // namespace graft
