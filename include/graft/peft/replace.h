#pragma once
// Training parts of the base: an adapter that takes a site's frozen values over as its own parameters, and whose merge is its value. Full
// fine-tuning and head-only tuning are that at all sites or at the head, and so is what modules_to_save names beside any method. They are
// the baselines that papers compare with.
#include "graft/peft/method.h"

namespace graft {

class ReplaceAdapter : public Adapter {
 public:
  explicit ReplaceAdapter(const Site& site);
  Tensor forward(const Tensor& x, const Frozen& base, const Batch&) override { return base.site.apply(x, {weight_, bias_}); }
  bool ties_head() const override { return true; }
  Tensor predict_tied(const Tensor& hidden, const Site& head) const override { return head.apply(hidden, {weight_, {}}); }
  std::optional<WeightAndBias> merged(const WeightAndBias&) const override { return WeightAndBias{weight_.detach(), bias_.defined() ? bias_.detach() : bias_}; }

 private:
  Tensor weight_, bias_;   // fp32, the site's shapes
};

/// Sites that hold anything: linear layers, embeddings, norms.
bool has_values(const Site& site);

struct FullOptions {
  void visit(auto&) {}
};
struct HeadOptions {
  void visit(auto&) {}
};

}  // namespace graft
