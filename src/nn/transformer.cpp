#include "graft/nn/transformer.h"

#include <algorithm>

#include "graft/core/error.h"

namespace graft {

std::vector<std::string> recompute_names() { return {"none", "gate_up", "layer", "offload"}; }

Recompute recompute_named(std::string_view name) {
  const auto names = recompute_names();
  const auto found = std::ranges::find(names, name);
  check(found != names.end(), "no way to recompute is called '{}'", name);
  return static_cast<Recompute>(found - names.begin());
}

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
