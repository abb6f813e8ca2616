// checkpoint_stall: how long a checkpoint of a LoRA of 8B size holds up a step of about a second, as JSON. The step is plain
// products.
#include <ATen/ATen.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "graft/train/checkpoint_writer.h"

using namespace graft;

namespace {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Rank 16 on the seven linears of 32 layers of Llama 3 8B: 41.9 M numbers, and Adam's two moments.
Checkpoint lora_8b(int64_t step) {
  constexpr int64_t rank = 16, hidden = 4096, kv = 1024, mlp = 14336;
  constexpr int64_t linears[7][2] = {{hidden, hidden}, {hidden, kv},  {hidden, kv}, {hidden, hidden},
                                     {hidden, mlp},    {hidden, mlp}, {mlp, hidden}};
  Checkpoint checkpoint;
  checkpoint.state.step = step;
  checkpoint.facts = Json::object();
  for (int layer = 0; layer < 32; ++layer)
    for (int i = 0; i < 7; ++i)
      for (const bool down : {true, false}) {
        const std::string name = fmt::format("{}.{}.{}", layer, i, down ? "A" : "B");
        const auto fresh = [&] { return down ? at::rand({rank, linears[i][0]}) : at::rand({linears[i][1], rank}); };
        checkpoint.adapter[name] = fresh();
        checkpoint.optimizer[name + ".exp_avg"] = fresh(), checkpoint.optimizer[name + ".exp_avg_sq"] = fresh();
      }
  return checkpoint;
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : std::filesystem::temp_directory_path() / "graft_checkpoint_stall";
  const Checkpoint live = lora_8b(1);
  int64_t numbers = 0;
  for (const auto& [name, tensor] : live.adapter) numbers += tensor.numel();
  const Tensor a = at::rand({1024, 1024});
  int products = 0;
  seconds_of([&] { at::mm(a, a); });
  const double alone = seconds_of([&] {  // a step of a second
    for (double spent = 0; spent < 1; ++products) spent += seconds_of([&] { at::mm(a, a); });
  });
  double held_up = 0, beside = 0, written = 0;
  constexpr int rounds = 3;
  for (int round = 0; round < rounds; ++round) {
    CheckpointWriter writer(CheckpointFolder(folder), 1, {});
    written += seconds_of([&] {
      Checkpoint own = live;
      own.state.step = round + 1;
      held_up += seconds_of([&] { writer.begin(std::move(own), "none"); });
      beside += seconds_of([&] {
        for (int i = 0; i < products; ++i) at::mm(a, a);
      });
      held_up += seconds_of([&] { writer.await_copy(); });
      writer.take(/*wait=*/true);
    });
  }
  std::filesystem::remove_all(folder);
  std::printf("{\"trained\": %ld, \"step_ms\": %.0f, \"held_up_ms\": %.2f, \"step_beside_ms\": %.0f, \"written_ms\": %.0f}\n",
              numbers, 1000 * alone, 1000 * held_up / rounds, 1000 * beside / rounds, 1000 * written / rounds);
}
