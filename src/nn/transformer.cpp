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

Tensor logits(Transformer& model, const Batch& batch) { return model.predict(model.hidden(batch), batch).to(at::kFloat); }

}  // namespace graft
