// A fused block as autograd's node: what lies between its passes, by the way to recompute.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/engine.h>

#include "block_tape.h"

namespace graft {
namespace {

Tensor matrix(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }

}  // namespace

struct TapeHolder : torch::CustomClassHolder {
  explicit TapeHolder(FusedBlock::Tape t) : tape(std::move(t)) {}
  FusedBlock::Tape tape;
};

class BlockNode : public torch::autograd::Function<BlockNode> {
 public:
  using Context = torch::autograd::AutogradContext;
  /// The parameters are named so that the engine knows of them; their gradients are added where they are made.
  static Tensor forward(Context* context, const Tensor& x, at::TensorList parameters, const FusedBlock* block, const Batch* batch, Recompute recompute) {
    FusedBlock::Tape tape = block->run(matrix(x), *batch);
    const Tensor out = std::exchange(tape.out, Tensor()).view(x.sizes());
    if (recompute == Recompute::gate_up) tape.gate_up.reset();
    if (recompute == Recompute::layer || recompute == Recompute::offload) {
      FusedBlock::Tape input;
      input.batch = tape.batch, input.x = tape.x;
      tape = std::move(input);
    }
    if (recompute == Recompute::offload) tape.stored = block->between_->inputs.put(std::exchange(tape.x, Tensor()));
    context->saved_data["tape"] = c10::IValue::make_capsule(c10::make_intrusive<TapeHolder>(std::move(tape)));
    context->saved_data["block"] = reinterpret_cast<int64_t>(block);   // the model outlives its graphs
    context->saved_data["parameters"] = static_cast<int64_t>(parameters.size());
    return out;
  }
  static torch::autograd::variable_list backward(Context* context, torch::autograd::variable_list grads) {
    const auto holder = c10::static_intrusive_pointer_cast<TapeHolder>(context->saved_data["tape"].toCapsule());
    const auto* block = reinterpret_cast<const FusedBlock*>(context->saved_data["block"].toInt());
    FusedBlock::Tape tape = std::move(holder->tape);
    if (!tape.middle.defined()) {
      const Tensor x = tape.stored ? block->between_->inputs.take(*tape.stored) : tape.x;
      tape = block->run(x, tape.batch);
      tape.out.reset();
    }
    const Tensor grad = grads[0].stride(-1) == 1 ? grads[0] : grads[0].contiguous();
    torch::autograd::Engine::get_default_engine().queue_callback([between = block->between_] { between->side.join(); });
    const Tensor dx = block->back(tape, matrix(grad), context->needs_input_grad(0));
    torch::autograd::variable_list all(4 + static_cast<size_t>(context->saved_data["parameters"].toInt()));
    if (dx.defined()) all[0] = dx.unflatten(0, grads[0].sizes().slice(0, grads[0].dim() - 1));
    return all;
  }
};

Tensor FusedBlock::forward(const Tensor& x, const Batch& batch, Recompute recompute) const {
  const std::vector<Tensor> trained = parameters(batch);
  return BlockNode::apply(x, at::TensorList(trained), this, &batch, recompute);
}

}  // namespace graft
