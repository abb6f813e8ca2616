#include "merge.h"

#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "task.h"

namespace graft {
namespace {

bool is_weight(const std::string& name) { return name.ends_with(".weight"); }

}  // namespace

Merger::Merger(const Target& target, const ModelFiles& files, MergeInto into) : target_(target), files_(files), into_(into), outline_(outline_model(files, task_of(target, files))) {
  adapter_ = seat_target(*outline_, target, {});
  if (target.adapter && !make_method(*target.adapter)->merges()) {
    std::vector<std::string> paths;
    for (const Site* site : outline_->sites())
      if (site->adapter(adapter_)) paths.push_back(site->path());
    refuse("{}: {} adds computation that no weight can hold; it cannot be merged at {}. Export it with --adapter and load it beside the base", target.what,
           target.adapter->method, fmt::join(paths, ", "));
  }
  const bool trained_for = target.quantization.qat.format != "none";
  require(into != MergeInto::requantized || trained_for || target.quantization.format != "none" || files.stored_scheme(outline_->first_site(SiteKind::linear)->path() + ".weight"),
          "{}: its base is not quantised and it was not trained for it; `graft quantize` quantises a merged model", target.what);
}

bool Merger::unties_head() const {
  if (!outline_->tied_head() || !outline_->vocabulary_head()) return false;
  const auto words = outline_->first_site(SiteKind::embedding)->adapter(adapter_);
  return outline_->vocabulary_head()->adapter(adapter_) || (words && !words->ties_head());
}

std::string Merger::source_of(const std::string& name) const {
  return name == "lm_head.weight" && tied() ? outline_->first_site(SiteKind::embedding)->path() + ".weight" : name;
}

std::optional<Scheme> Merger::scheme(const std::string& name) const {
  if (into_ != MergeInto::requantized || !is_weight(name) || files_.shape(name).size() != 2) return std::nullopt;
  if (target_.quantization.qat.format != "none") return scheme_for_qat(target_.quantization, module_of(name));
  return storage_of(files_, target_.quantization, module_of(name));
}

Merger::Sum Merger::sum(const std::string& name) {
  const std::string stored = source_of(name);
  const Site* site = outline_->find_site(module_of(name));
  const bool is_bias = name.ends_with(".bias");
  const auto storage = site && is_weight(name) && site->weight() ? storage_of(files_, target_.quantization, module_of(stored)) : std::nullopt;
  Sum sum;
  if (storage && into_ != MergeInto::original && !files_.stored_scheme(stored))
    sum.base = dequantize(quantize(files_.read(stored, files_.stored_dtype(stored)), *storage, stored), at::kFloat);
  else if (target_.quantization.qat.format != "none" && target_.dtype)
    sum.base = files_.read(stored, *target_.dtype).to(at::kFloat);   // rounded as it was in training
  else
    sum.base = files_.read(stored, at::kFloat);
  sum.merged = sum.base;
  ++tensors_;
  const auto adapter = site && !adapter_.empty() && (is_weight(name) || is_bias) ? site->adapter(adapter_) : nullptr;
  if (!adapter) return sum;
  const auto merged = adapter->merged(is_bias ? WeightAndBias{files_.read(module_of(name) + ".weight", at::kFloat), sum.base} : WeightAndBias{sum.base, Tensor()});
  check(merged.has_value(), "{}: this adapter cannot be merged", name);
  sum.merged = is_bias ? merged->bias : merged->weight;
  check(at::isfinite(sum.merged).all().item<bool>(), "{}: the merged tensor is not finite; nothing was written", name);
  ++merged_;
  nonzero_ = nonzero_ || !at::equal(sum.merged, sum.base);
  return sum;
}

Tensor Merger::tensor(const std::string& name, at::ScalarType dtype) {
  const Sum values = sum(name);
  const Tensor rounded = values.merged.to(dtype);
  if (!values.merged.is_same(values.base)) changed_ = changed_ || !at::equal(rounded, values.base.to(dtype));
  return rounded;
}

QuantizedTensor Merger::quantized(const std::string& name) {
  const Sum values = sum(name);
  QuantizedTensor codes = quantize(values.merged, *scheme(name), name);
  if (values.merged.is_same(values.base)) return codes;
  const Tensor update = values.merged - values.base, kept = dequantize(codes, at::kFloat) - values.base;
  const double size = at::dot(update.flatten(), update.flatten()).item<double>();
  survived_[module_of(name)] = size == 0 ? 1 : at::dot(kept.flatten(), update.flatten()).item<double>() / size;
  changed_ = changed_ || kept.any().item<bool>();
  return codes;
}

void Merger::check_effect() const {
  check(changed_ || !nonzero_, "the adapter is not zero, but no stored value changed: it is too small for this dtype; export in fp32");
}

}  // namespace graft
