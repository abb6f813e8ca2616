#pragma once
// LoRA (Hu et al. 2021, "LoRA: low-rank adaptation of large language models", section 4): y = W x + s * B(A(dropout(x))), s = alpha / rank;
// rsLoRA (Kalajdzievski 2023): s = alpha / sqrt(rank); LoRA+ (Hayou et al. 2024): B learns `lora_plus_ratio` times faster than A.
// A starts kaiming-uniform(sqrt(5)) as PEFT has it (uniform within 1/sqrt(in)), or gaussian with deviation 1/rank; B starts at zero.
#include <map>
#include <string>

#include "graft/config/visit.h"
#include "graft/nn/site.h"
#include "graft/peft/method.h"

namespace graft {

struct LoraOptions {
  int rank = 8;
  double alpha = 16;
  double dropout = 0;
  bool rslora = false;
  double lora_plus_ratio = 1;
  std::string init = "default";
  std::map<std::string, int> rank_pattern;
  std::map<std::string, double> alpha_pattern;
  void visit(auto& v) {
    v("rank", rank, "width of the update", AtLeast(1));
    v("alpha", alpha, "the update is scaled by alpha / rank", MoreThan(0));
    v("dropout", dropout, "share of the update's input that is dropped in training", Between(0, 0.99));
    v("rslora", rslora, "scale by alpha / sqrt(rank) instead (rsLoRA)");
    v("lora_plus_ratio", lora_plus_ratio, "how much faster B learns than A (LoRA+); 1: equally", MoreThan(0));
    v("init", init, "A's first values", Choices{"default", "gaussian"});
    v("rank_pattern", rank_pattern, "another rank for some modules: regex on the end of the path: rank");
    v("alpha_pattern", alpha_pattern, "another alpha for some modules: regex on the end of the path: alpha");
  }
};

class LoraAdapter : public Adapter {
 public:
  LoraAdapter(const Site& site, int64_t rank, double scale, double dropout);
  Tensor forward(const Tensor& x, const Frozen& base, const Batch& batch) override;
  std::optional<WeightAndBias> merged(const WeightAndBias& base) const override;
  /// Sets A's first values, a function of (seed, path).
  void initialize(const std::string& init, uint64_t seed, const std::string& path);
  std::optional<LowRank> low_rank() const override { return LowRank{a_, b_, scale_}; }
  Tensor delta() const;   // s * B A, fp32 [out, in]

 private:
  Tensor a_, b_;          // fp32 [rank, in], [out, rank]
  double scale_, dropout_;
  uint32_t site_hash_;
};

std::unique_ptr<Method> make_lora(const LoraOptions& options);

}  // namespace graft
