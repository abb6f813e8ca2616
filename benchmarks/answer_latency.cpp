// What a user waits for: milliseconds of a prompt of 128 tokens, and of each token behind it, one answer at a time.
//   answer_latency MODEL MERGED DTYPE DEVICE [ROUNDS [NEW_TOKENS]]     MERGED: a model that `graft export --merged` made of MODEL and a LoRA
// Everyone is timed once a round, in turn; the base twice, for what is mere noise. Prints a JSON line each, with a number a round.
#include <fmt/format.h>

#include <chrono>

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/core/runtime.h"
#include "graft/models/generate.h"
#include "graft/models/load.h"
#include "graft/peft/graft_adapter.h"

using namespace graft;

namespace {

constexpr int64_t prompt_tokens = 128;

struct Contender {
  std::string name;
  std::shared_ptr<Transformer> model;
  std::string adapter;   // "": the base alone
  std::vector<double> prompt_ms{}, token_ms{};
};

/// A model with one fresh adapter: what it holds does not matter to time.
Contender adapted(const std::string& name, std::shared_ptr<Transformer> model, const std::string& method) {
  AdapterOptions options;
  options.method = method;
  options.select_options();
  if (auto* lora = std::get_if<LoraOptions>(&options.options)) lora->rank = 16, lora->alpha = 32;   // the quick start's
  graft_adapter(*model, method, options, 1);
  return {name, std::move(model), method};
}

/// To the first token, which is the prompt's time, and from there to each of `new_tokens` more.
void time_once(Contender& contender, const std::vector<int32_t>& prompt, int64_t new_tokens) {
  GenerateOptions options;
  options.max_new_tokens = 1 + new_tokens;
  std::vector<double> said;
  synchronize(contender.model->device());
  const auto start = std::chrono::steady_clock::now();
  generate(*contender.model, contender.adapter, {prompt}, {}, options, [&](size_t, int32_t) {
    said.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  });
  contender.prompt_ms.push_back(said.front());
  contender.token_ms.push_back((said.back() - said.front()) / static_cast<double>(new_tokens));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return fmt::print(stderr, "usage: answer_latency MODEL MERGED DTYPE DEVICE [ROUNDS [NEW_TOKENS]]\n"), 2;
  try {
    const at::Device device = device_from_name(argv[4]);
    const LoadOptions load{device, dtype_from_name(argv[3], device), {}};
    const int64_t rounds = argc > 5 ? std::atoll(argv[5]) : 25, new_tokens = argc > 6 ? std::atoll(argv[6]) : 32;
    const auto base = [&] { return load_model(*open_model_files(argv[1]), load); };
    const auto plain = base();
    std::vector<Contender> contenders{{"base", plain, ""},
                                      {"merged LoRA", load_model(*open_model_files(argv[2]), load), ""},
                                      adapted("live LoRA", base(), "lora"),
                                      adapted("bottleneck (pfeiffer)", base(), "pfeiffer"),
                                      adapted("prompt of 20", base(), "prompt_tuning"),
                                      {"base again", plain, ""}};
    std::vector<int32_t> prompt;
    for (int32_t i = 0; i < prompt_tokens; ++i) prompt.push_back(1000 + 7 * i);   // any words
    for (int64_t round = 0; round < rounds + 1; ++round)
      for (auto& contender : contenders) {
        time_once(contender, prompt, new_tokens);
        if (round == 0) contender.prompt_ms.clear(), contender.token_ms.clear();   // to warm up
      }
    for (const auto& contender : contenders)
      fmt::print("{}\n", to_line({{"name", contender.name}, {"prompt_ms", contender.prompt_ms}, {"token_ms", contender.token_ms},
                                  {"dtype", dtype_to_name(load.dtype)}, {"device", device.str()}}));
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "answer_latency: {}\n", e.what());
    return 1;
  }
}
