#pragma once
// LoRA (Hu et al. 2021, "LoRA: low-rank adaptation of large language models", section 4): y = W x + s * B(A(dropout(x))), s = alpha / rank;
// rsLoRA (Kalajdzievski 2023): s = alpha / sqrt(rank); LoRA+ (Hayou et al. 2024): B learns `lora_plus_ratio` times faster than A.
// A starts kaiming-uniform(sqrt(5)) as PEFT has it (uniform within 1/sqrt(in)), or gaussian with deviation 1/rank; B starts at zero.
// On an embedding the factors are looked up: A holds a column for each id (zeros at first), B is normal (PEFT).
#include <map>
#include <optional>
#include <string>

#include "graft/config/visit.h"
#include "graft/nn/site.h"
#include "graft/peft/method.h"

namespace graft {

/// What all low-rank methods are told.
struct LowRankOptions {
  int rank = 8;
  double alpha = 16;
  double dropout = 0;
  bool rslora = false;
  double lora_plus_ratio = 1;
  std::map<std::string, int> rank_pattern;
  std::map<std::string, double> alpha_pattern;
  void visit(auto& v) {
    v("rank", rank, "width of the update", AtLeast(1));
    v("alpha", alpha, "the update is scaled by alpha / rank", MoreThan(0));
    v("dropout", dropout, "share of the update's input that is dropped in training", Between(0, 0.99));
    v("rslora", rslora, "scale by alpha / sqrt(rank) instead (rsLoRA)");
    v("lora_plus_ratio", lora_plus_ratio, "how much faster B learns than A (LoRA+); 1: equally", MoreThan(0));
    v("rank_pattern", rank_pattern, "another rank for some modules: regex on the end of the path: rank");
    v("alpha_pattern", alpha_pattern, "another alpha for some modules: regex on the end of the path: alpha");
  }
  int64_t rank_at(const std::string& path) const;
  double scale_at(const std::string& path) const;
  /// PEFT's LORA config, of a plain LoRA, and back.
  Json peft_config() const;
  void take(PeftFields& fields);
};

struct LoraOptions : LowRankOptions {
  std::string init = "default";
  void visit(auto& v) {
    LowRankOptions::visit(v);
    v("init", init, "A's first values", Choices{"default", "gaussian"});
  }
};

class LoraAdapter : public Adapter {
 public:
  LoraAdapter(const Site& site, int64_t rank, double scale, double dropout);
  Tensor forward(const Tensor& x, const Frozen& base, const Batch& batch) override;
  std::optional<Tensor> forward_parts(const Tensor& x, const std::vector<Adapter*>& adapters, const Frozen& base, const Batch& batch) override;
  std::optional<WeightAndBias> merged(const WeightAndBias& base) const override;
  std::optional<LowRank> low_rank() const override { return LowRank{a_, b_, scale_}; }
  std::optional<LowRank> trained_factors() const override { return LowRank{a_, b_, scale_, dropout_, site_hash_}; }
  Tensor delta() const;   // s * B A, fp32 [out, in]
  void set(const Tensor& a, const Tensor& b);

 protected:
  Tensor a_, b_;          // fp32 [rank, in], [out, rank]
  double scale_, dropout_;
  uint32_t site_hash_;
};

/// A method whose adapters are LoraAdapters, or kin: its options, LoRA+ and dropout.
class LowRankMethod : public Method {
 public:
  explicit LowRankMethod(LowRankOptions options) : low_rank_(std::move(options)) {}
  bool usual(const Site& site) const override { return site.kind() == SiteKind::linear && site.role() != Role::head; }
  bool adapts(const Site& site) const override { return site.kind() == SiteKind::linear; }
  double lr_scale(std::string_view parameter) const override { return parameter.find("lora_B") != std::string_view::npos ? low_rank_.lora_plus_ratio : 1.0; }
  double dropout() const override { return low_rank_.dropout; }

 protected:
  LowRankOptions low_rank_;
};

}  // namespace graft
