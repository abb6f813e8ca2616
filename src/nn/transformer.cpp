#include "graft/nn/transformer.h"

namespace graft {

Site* Transformer::find_site(const std::string& path) const {
  for (Site* site : sites_)
    if (site->path() == path) return site;
  return nullptr;
}

Site* Transformer::first_site(SiteKind kind) const {
  for (Site* site : sites_)
    if (site->kind() == kind) return site;
  return nullptr;
}

const Weight* Transformer::frozen_head(const std::string& adapter) {
  const Linear* head = vocabulary_head();
  if (!head || !predicts_by_product() || head->adapter(adapter)) return nullptr;
  const auto words = first_site(SiteKind::embedding)->adapter(adapter);
  return tied_head() && words && words->ties_head() ? nullptr : head->weight();
}

int64_t Transformer::fused_layers(const std::vector<std::string>& adapters) const {
  int64_t count = 0;
  for (int64_t i = 0; i < layers(); ++i) count += fuses(i, adapters);
  return count;
}

VirtualTokens Transformer::virtual_tokens(const std::string& adapter) const {
  const auto of = [&](SiteKind kind) {
    const Site* site = first_site(kind);
    const auto here = site ? site->adapter(adapter) : nullptr;
    return here ? here->virtual_tokens() : 0;
  };
  return {of(SiteKind::embedding), of(SiteKind::key_value)};
}

Tensor logits(Transformer& model, const Batch& batch) { return model.predict(model.hidden(batch), batch).to(at::kFloat); }

}  // namespace graft
