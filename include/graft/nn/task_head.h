#pragma once
// What a task puts behind a transformer's hidden states: dropout, a layer with tanh where a family has one, and the classes' matrix; and how
// the states of a text become one. The names are transformers', so that checkpoints and PEFT folders interchange.
#include <memory>
#include <string>
#include <vector>

#include "graft/data/task.h"
#include "graft/nn/layers.h"
#include "graft/nn/model_dropout.h"

namespace graft {

struct HeadShape {
  std::string dense;           // path of the layer before tanh; "": none
  std::string out;             // path of the classes' matrix
  bool bias = true;            // of that matrix
  double dropout = 0;          // before the classes' matrix ...
  bool drops_first = false;    // ... and before `dense` too (RoBERTa)
};

class TaskHead : public torch::nn::Module {
 public:
  /// Tensors that the source lacks start at random (normal, 0.02; biases at zero), a function of (seed, name).
  TaskHead(TensorSource& source, const HeadShape& shape, int64_t dim, int64_t classes, uint64_t seed);
  /// [.., dim] -> [.., classes]
  Tensor forward(const Tensor& hidden, const Batch& batch) const;
  std::vector<Site*> sites() const;

 private:
  std::shared_ptr<Linear> dense_, out_;
  ModelDropout first_, last_;
};

/// Where a task pools by mean, every position gets the mean of its segment's real tokens; elsewhere the states as they are. [batch, time, dim]
Tensor pooled(const Tensor& hidden, const Task& task, const Batch& batch);

}  // namespace graft
