#include "graft/peft/combine.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "graft/core/error.h"
#include "graft/io/atomic_file.h"
#include "graft/io/tensors.h"
#include "graft/peft/adapter_file.h"
#include "base_in_file.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

/// How a layer's factors are named, and an embedding's.
constexpr std::pair<std::string_view, std::string_view> factor_names[] = {{".lora_A.weight", ".lora_B.weight"}, {".lora_embedding_A", ".lora_embedding_B"}};

/// A term of the sum: b carries weight and scale. a: double [rank, in], b: double [out, rank]
struct Factors {
  Tensor a, b;
};

/// By a module's path and which of factor_names it has.
using Sum = std::map<std::pair<std::string, size_t>, std::vector<Factors>>;

void add(const WeightedAdapter& adapter, Sum& sum, const Log& log) {
  const AdapterOptions options = read_adapter_options(adapter.folder, log);
  const auto* lora = std::get_if<LoraOptions>(&options.options);
  require(lora, "{}: only LoRA adapters can be added up; this one is {}", adapter.folder.string(), options.method);
  const TensorMap tensors = read_adapter_tensors(adapter.folder);
  for (const auto& [key, a] : tensors)
    for (size_t kind = 0; kind < std::size(factor_names); ++kind) {
      const auto [a_name, b_name] = factor_names[kind];
      if (!key.ends_with(a_name)) continue;
      const std::string module = key.substr(0, key.size() - a_name.size());
      const auto b = tensors.find(module + std::string(b_name));
      require(b != tensors.end() && a.dim() == 2 && b->second.dim() == 2 && b->second.size(1) == a.size(0), "{}: {} has no B that fits its A", adapter.folder.string(), module);
      require(module.starts_with(peft_prefix), "{}: tensor '{}' does not begin with {}", adapter.folder.string(), key, peft_prefix);
      sum[{module, kind}].push_back({a.to(at::kDouble), b->second.to(at::kDouble) * (adapter.weight * lora->scale_at(module.substr(peft_prefix.size())))});
    }
  for (const auto& [key, tensor] : tensors)
    require(key.find(".lora_") != std::string::npos && key.find("magnitude") == std::string::npos, "{}: '{}' is no LoRA factor: it cannot be added up", adapter.folder.string(), key);
}

Factors concatenated(const std::vector<Factors>& terms, const std::string& module) {
  std::vector<Tensor> a, b;
  for (const auto& term : terms) {
    require(term.a.size(1) == terms[0].a.size(1) && term.b.size(0) == terms[0].b.size(0), "{}: the adapters are of different bases: {}x{} and {}x{}", module,
            terms[0].b.size(0), terms[0].a.size(1), term.b.size(0), term.a.size(1));
    a.push_back(term.a), b.push_back(term.b);
  }
  return {at::cat(a, 0), at::cat(b, 1)};
}

/// B A = Qb (Rb Ra^T) Qa^T: the singular values of the small product in the middle are those of the whole.
Factors compressed(const Factors& whole, int64_t rank, double& left_out, double& in_all) {
  const auto [qb, rb] = at::linalg_qr(whole.b);
  const auto [qa, ra] = at::linalg_qr(whole.a.t());
  const auto [u, s, v] = at::linalg_svd(rb.matmul(ra.t()), /*full_matrices=*/false);
  const int64_t kept = std::min(rank, s.size(0));
  const Tensor root = s.narrow(0, 0, kept).sqrt();
  left_out += s.slice(0, kept).square().sum().item<double>(), in_all += s.square().sum().item<double>();
  return {root.unsqueeze(1) * v.narrow(0, 0, kept).matmul(qa.t()), qb.matmul(u.narrow(1, 0, kept)) * root};
}

/// Rows and columns of zeros up to the rank that all modules have.
TensorMap padded(const std::map<std::pair<std::string, size_t>, Factors>& modules, int64_t rank) {
  TensorMap tensors;
  for (const auto& [key, factors] : modules) {
    const int64_t missing = rank - factors.a.size(0);
    tensors[key.first + std::string(factor_names[key.second].first)] = at::constant_pad_nd(factors.a, {0, 0, 0, missing}).to(at::kFloat).contiguous();
    tensors[key.first + std::string(factor_names[key.second].second)] = at::constant_pad_nd(factors.b, {0, missing}).to(at::kFloat).contiguous();
  }
  return tensors;
}

Json config_of(const std::vector<WeightedAdapter>& adapters, const Sum& sum, int64_t rank) {
  LoraOptions options;
  options.rank = static_cast<int>(rank), options.alpha = static_cast<double>(rank);
  const Json first = read_json(adapters.front().folder / "adapter_config.json");
  Json config = options.peft_config();
  for (const char* key : {"base_model_name_or_path", "task_type", tying_key})
    if (first.contains(key)) config[key] = first[key];
  config["inference_mode"] = true, config["modules_to_save"] = nullptr, config["target_modules"] = Json::array();
  for (const auto& [key, terms] : sum) config["target_modules"].push_back(key.first.substr(peft_prefix.size()));
  return config;
}

}  // namespace

Combination combine_adapters(const std::vector<WeightedAdapter>& adapters, std::optional<int64_t> rank, const fs::path& out, const Log& log) {
  require(!adapters.empty(), "combine: name at least one adapter");
  require(!fs::exists(out) || (fs::is_directory(out) && fs::is_empty(out)), "{} exists already", out.string());
  Sum sum;
  for (const auto& adapter : adapters) add(adapter, sum, log);
  std::map<std::pair<std::string, size_t>, Factors> modules;
  Combination result{static_cast<int64_t>(sum.size()), 0, 0};
  double left_out = 0, in_all = 0;
  for (const auto& [key, terms] : sum) {
    Factors whole = concatenated(terms, key.first);
    if (rank) whole = compressed(whole, *rank, left_out, in_all);
    result.rank = std::max(result.rank, whole.a.size(0));
    modules.emplace(key, std::move(whole));
  }
  if (in_all > 0) result.relative_error = std::sqrt(left_out / in_all);
  fs::create_directories(out);
  save_tensors(out / "adapter_model.safetensors", padded(modules, result.rank), {{"format", "pt"}});
  write_file(out / "adapter_config.json", nlohmann::json::parse(config_of(adapters, sum, result.rank).dump()).dump(2) + "\n");
  return result;
}

}  // namespace graft
