#include "graft/nn/language_model.h"

namespace graft {

Site* LanguageModel::find_site(const std::string& path) const {
  for (Site* site : sites_)
    if (site->path() == path) return site;
  return nullptr;
}

Tensor logits(LanguageModel& model, const Batch& batch) { return model.head().forward(model.hidden(batch), batch).to(at::kFloat); }

}  // namespace graft
