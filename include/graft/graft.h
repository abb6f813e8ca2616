#pragma once
// graft as a library: load, fine-tune, generate, export. Goals: a whole program in thirty lines, no torch header, exceptions for errors
// (graft::Error and its kin, core/error.h), a stop token everywhere. Non-goals: everything that the packages' own headers offer.
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "graft/core/error.h"

namespace graft {

struct Sampling {
  int64_t max_new_tokens = 256;
  double temperature = 0;   // 0: the likeliest token
  int64_t top_k = 0;        // 0: all
  double top_p = 1;
  uint64_t seed = 42;
};

struct Message {
  std::string role;      // "system", "user", "assistant"
  std::string content;
};

/// A base model with any number of adapters, one of them (or none) in use.
class Model {
 public:
  /// `path`: a folder, a .gguf file, or org/name[@revision] in the local Hugging Face cache. `device`: auto | cpu | cuda | cuda:N;
  /// `dtype`: auto | bf16 | fp16 | fp32; `quantization`: none | nf4 | int8_absmax | ... (docs/quantization.md). Throws RequestError, or Stopped.
  static Model load(const std::string& path, const std::string& device = "auto", const std::string& dtype = "auto",
                    const std::string& quantization = "none", std::stop_token stop = {});
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  /// A PEFT folder under a name of your choice.
  void add_adapter(const std::string& name, const std::string& folder);
  void remove_adapter(const std::string& name);
  /// "" uses the base alone.
  void use_adapter(const std::string& name);
  std::vector<std::string> adapters() const;

  /// Text as it is.
  std::string complete(const std::string& prompt, const Sampling& sampling = {}, const std::function<void(const std::string&)>& on_text = {},
                       std::stop_token stop = {});
  /// Through the model's chat template.
  std::string chat(const std::vector<Message>& messages, const Sampling& sampling = {},
                   const std::function<void(const std::string&)>& on_text = {}, std::stop_token stop = {});

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct Progress {
  int64_t step = 0, total_steps = 0;
  double loss = 0, learning_rate = 0, tokens_per_second = 0;
  double eval_loss = -1, eval_accuracy = -1;   // of an evaluation; -1 otherwise
};
struct Hooks {
  std::function<void(const Progress&)> on_progress;
  std::function<void(const std::string&)> on_message;
  std::stop_token stop;
};

/// Runs a job (a YAML file, with key=value overrides); the run's folder holds what it learned. Throws Stopped after saving if a stop is asked for.
void finetune(const std::string& config, const std::vector<std::string>& overrides = {}, const Hooks& hooks = {});
void resume(const std::string& run, const std::vector<std::string>& overrides = {}, const Hooks& hooks = {});

/// The merged model of a run as a Hugging Face folder; returns the largest difference of a logit from the live adapter's.
double export_merged(const std::string& run, const std::string& out, const Hooks& hooks = {});

}  // namespace graft
