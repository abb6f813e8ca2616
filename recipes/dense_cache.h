#pragma once
// quantization.cache: auto. A quantised matrix is made dense for each product; where memory is left, some are kept dense instead. The
// numbers are the same to the bit.
#include "graft/core/log.h"
#include "graft/nn/transformer.h"
#include "graft/train/observer.h"

namespace graft {

/// Passes everything on; once two steps have shown what a run needs, keeps dense copies in what is left (a tenth of the memory stays free).
class DenseCache : public Observer {
 public:
  DenseCache(Transformer& model, Observer& next, const Log& log) : model_(model), next_(next), log_(log) {}
  void on_step(const StepReport& report) override;
  void on_eval(const EvalReport& report) override { next_.on_eval(report); }
  void on_checkpoint(int64_t step, const std::filesystem::path& folder) override { next_.on_checkpoint(step, folder); }

 private:
  Transformer& model_;
  Observer& next_;
  const Log& log_;
  int64_t steps_ = 0;
};

/// Keeps matrices dense, from the first on, while `bytes` last; returns how many.
int64_t keep_dense(Transformer& model, int64_t bytes);

}  // namespace graft
