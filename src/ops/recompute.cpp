#include "graft/ops/recompute.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "graft/core/error.h"

namespace graft {
namespace {

using Block = std::function<Tensor(const Tensor&)>;

/// Autograd's context keeps only values it knows; a block travels as a custom class.
struct BlockHolder : torch::CustomClassHolder {
  explicit BlockHolder(Block b) : block(std::move(b)) {}
  Block block;
};

class RecomputedBlock : public torch::autograd::Function<RecomputedBlock> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const c10::intrusive_ptr<BlockHolder>& holder) {
    context->save_for_backward({x});
    context->saved_data["block"] = c10::IValue::make_capsule(holder);
    at::NoGradGuard no_grad;
    return holder->block(x);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const Tensor x = context->get_saved_variables()[0].detach().requires_grad_(true);
    const auto holder = c10::static_intrusive_pointer_cast<BlockHolder>(context->saved_data["block"].toCapsule());
    Tensor y;
    {
      at::AutoGradMode grad_mode(true);
      y = holder->block(x);
    }
    torch::autograd::backward({y}, {grads[0]});  // parameters take their gradients here
    return {x.grad(), Tensor()};
  }
};

}  // namespace

std::vector<std::string_view> recompute_names() { return {"none", "gate_up", "layer", "offload"}; }

Recompute recompute_named(std::string_view name) {
  const auto names = recompute_names();
  const auto found = std::ranges::find(names, name);
  check(found != names.end(), "no way to recompute is called '{}'", name);
  return static_cast<Recompute>(found - names.begin());
}

Tensor recompute(const Tensor& x, std::function<Tensor(const Tensor&)> block) {
  if (!at::GradMode::is_enabled()) return block(x);
  // Parameters alone may need gradients: the node is only made if its input does.
  const Tensor input = x.requires_grad() ? x : x.detach().requires_grad_(true);
  return RecomputedBlock::apply(input, c10::make_intrusive<BlockHolder>(std::move(block)));
}

}  // namespace graft
