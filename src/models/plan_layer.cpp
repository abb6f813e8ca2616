#include "plan_layer.h"

#include "plan_linears.h"

#include <algorithm>

namespace graft {
namespace {

class PlainLayer : public PlannedLayer {
 public:
  PlainLayer(const BlockBytes& bytes, bool again, int64_t input_bytes) : bytes_(bytes), again_(again), input_bytes_(input_bytes) {}

  void forward(Tally& tally) override {
    if (again_)
      kept_.push_back(tally.hold("kept: layers' inputs", input_bytes_));
    else
      keep(tally);
  }
  void backward(Tally& tally, Tally::Room&, bool) override {
    if (again_) keep(tally);
    const auto work = tally.hold("gradients of activations", std::max(bytes_.backward, bytes_.attention_backward - bytes_.mlp));
    kept_.clear();
  }

 private:
  void keep(Tally& tally) {
    for (const auto& [kind, bytes] : bytes_.kept) kept_.push_back(tally.hold("kept: " + kind, bytes));
  }
  BlockBytes bytes_;
  bool again_;
  int64_t input_bytes_;
  std::vector<Tally::Room> kept_;
};

}  // namespace

int64_t eight_bit_copies(const std::vector<SeatedSite>& sites, const Storage& storage) {
  int64_t bytes = 0;
  for (const auto& roles : {in_qkv, in_output, in_gate_up, in_down}) {
    const Linears all(sites, roles, storage);
    if (all.dense && all.in % 16 == 0 && all.out % 16 == 0) bytes += 2 * all.in * all.out + 4 * (all.in + all.out);
  }
  return bytes;
}

int64_t settled_room(const std::vector<SeatedSite>& sites, const Storage& storage, int64_t element) {
  int64_t numbers = 0;
  for (const auto& roles : {in_qkv, in_output, in_gate_up, in_down}) {
    const Linears all(sites, roles, storage);
    if (all.dense) numbers += all.matrix() - all.out * all.in;
  }
  return numbers * element;
}

std::unique_ptr<PlannedLayer> plain_layer(const BlockBytes& bytes, Recompute recompute, int64_t input_bytes) {
  return std::make_unique<PlainLayer>(bytes, recompute != Recompute::none, input_bytes);
}

}  // namespace graft
