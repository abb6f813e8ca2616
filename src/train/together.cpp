#include "graft/train/together.h"

#include <algorithm>

#include "graft/core/error.h"

namespace graft {
namespace {

using Going = std::vector<TrainedAdapter*>;

void save_all(const Going& adapters) {
  for (auto* adapter : adapters) adapter->trainer.save_now(adapter->observer);
}

/// What one of them, or no one in particular, fails at costs the others nothing.
template <class F>
void guarded(const Going& adapters, const TrainedAdapter* own, F&& step) {
  try {
    step();
  } catch (...) {
    for (auto* adapter : adapters)
      if (adapter != own) adapter->trainer.save_if_possible(adapter->observer);
    throw;
  }
}

void step_in_turn(const Going& adapters) {
  for (auto* adapter : adapters) {
    Share share;
    Tensor loss;
    guarded(adapters, nullptr, [&] {
      share = adapter->trainer.next_share();
      loss = adapter->trainer.backward(share);
    });
    guarded(adapters, adapter, [&] { adapter->trainer.take_step(share, loss, adapter->observer); });
  }
}

void step_in_one_pass(Transformer& model, const Going& adapters, StepGraphs* graphs) {
  std::vector<Share> shares;
  std::vector<Tensor> losses;
  guarded(adapters, nullptr, [&] {
    for (auto* adapter : adapters) shares.push_back(adapter->trainer.next_share());
    losses = backward_together(model, shares, graphs);
  });
  for (size_t i = 0; i < adapters.size(); ++i)
    guarded(adapters, adapters[i], [&] { adapters[i]->trainer.take_step(shares[i], losses[i], adapters[i]->observer); });
}

}  // namespace

void train_together(Transformer& model, std::vector<TrainedAdapter>& adapters, bool share_rows, std::stop_token stop) {
  Going going;
  for (auto& adapter : adapters) going.push_back(&adapter);
  const auto drop_done = [&] { std::erase_if(going, [](const auto* adapter) { return adapter->trainer.done(); }); };
  const bool captures = std::ranges::all_of(going, [](const auto* adapter) { return adapter->trainer.captures(); });
  const auto graphs = share_rows && captures && !going.empty() ? std::make_unique<StepGraphs>(model) : nullptr;
  for (drop_done(); !going.empty(); drop_done()) {
    if (stop.stop_requested()) {
      save_all(going);
      throw Stopped(fmt::format("stopped; {} adapters are saved", adapters.size()));
    }
    share_rows ? step_in_one_pass(model, going, graphs.get()) : step_in_turn(going);
  }
}

}  // namespace graft
