#pragma once
// Small models, batches and folders for tests.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include <ATen/ATen.h>

#include "graft/core/runtime.h"
#include "graft/models/load.h"
#include "graft/peft/adapter_file.h"

namespace graft::testing {

inline std::filesystem::path golden(const std::string& name) { return std::filesystem::path(GRAFT_TEST_DATA) / name; }

/// The same binaries are the CPU's and the GPU's suite: GRAFT_TEST_DEVICE=cuda runs them there.
inline at::Device test_device() {
  const char* name = std::getenv("GRAFT_TEST_DEVICE");
  return device_from_name(name ? name : "cpu");
}

inline bool is_encoder(const std::string& family) { return family == "bert" || family == "roberta"; }

/// hidden 48, 6 query and 2 key/value heads, 2 layers, vocabulary 97. (At 4/2 heads a fault in grouped heads hides.) Windows are shorter than
/// the tests' texts, caps low enough to bend.
inline Json tiny_config(const std::string& family) {
  if (family == "gpt2")
    return {{"model_type", "gpt2"}, {"vocab_size", 97}, {"n_embd", 48}, {"n_inner", 40}, {"n_layer", 2}, {"n_head", 6}, {"n_positions", 64},
            {"embd_pdrop", 0.0}, {"attn_pdrop", 0.0}, {"resid_pdrop", 0.0}};
  Json config = {{"model_type", family}, {"vocab_size", 97}, {"hidden_size", 48}, {"intermediate_size", 40}, {"num_hidden_layers", 2},
                 {"num_attention_heads", 6}, {"max_position_embeddings", 256}};
  if (is_encoder(family))
    config.update({{"type_vocab_size", 2}, {"hidden_dropout_prob", 0.0}, {"attention_probs_dropout_prob", 0.0}});
  else
    config.update({{"num_key_value_heads", 2}, {"head_dim", 8}, {"rms_norm_eps", 1e-5}});
  if (family == "mistral" || family == "ministral" || family == "phi3" || family.starts_with("gemma")) config["sliding_window"] = 4;
  if (family == "gemma") config.erase("sliding_window");
  if (family == "ministral" || family == "gemma3_text") config["layer_types"] = {"sliding_attention", "full_attention"};
  if (family == "gemma2") config.update({{"attn_logit_softcapping", 0.5}, {"final_logit_softcapping", 0.5}});
  if (family == "gemma2" || family == "gemma3_text") config["query_pre_attn_scalar"] = 12;
  if (family == "phi3") config["original_max_position_embeddings"] = 256;
  if (family == "smollm3") config["no_rope_layers"] = {1, 0};
  return config;
}

/// The same with the model's own dropout, where its family has one.
inline std::optional<Json> dropped_config(const std::string& family) {
  Json config = tiny_config(family);
  if (is_encoder(family))
    config["hidden_dropout_prob"] = 0.2, config["attention_probs_dropout_prob"] = 0.2;
  else if (family == "gpt2")
    config["embd_pdrop"] = 0.1, config["attn_pdrop"] = 0.2, config["resid_pdrop"] = 0.2;
  else if (family == "phi3")
    config["resid_pdrop"] = 0.2;
  else
    return std::nullopt;
  return config;
}

/// What a family's model is for by default: the next token, or (encoders) as many classes, so that the same targets serve.
inline Task tiny_task(const std::string& family) {
  Task task;
  if (!is_encoder(family)) return task;
  task.kind = TaskKind::sequence_classification;
  for (int i = 0; i < 97; ++i) task.labels.push_back("class " + std::to_string(i));
  return task;
}

/// Rows of random ids of the given lengths, right-padded.
inline Batch batch_of(const std::vector<int64_t>& lengths, int64_t vocab, uint64_t seed = 1) {
  at::manual_seed(seed);
  const int64_t rows = static_cast<int64_t>(lengths.size()), columns = *std::max_element(lengths.begin(), lengths.end());
  Batch batch;
  batch.ids = at::randint(vocab, {rows, columns}, at::kLong);
  batch.positions = at::arange(columns, at::kLong).expand({rows, columns}).contiguous();
  batch.segments = at::full({rows, columns}, -1, at::kLong);
  for (int64_t r = 0; r < rows; ++r) batch.segments[r].slice(0, 0, lengths[static_cast<size_t>(r)]).fill_(r);
  batch.ids = batch.ids.to(test_device()), batch.positions = batch.positions.to(test_device()), batch.segments = batch.segments.to(test_device());
  return batch;
}

/// Gives every parameter of an adapter random values: an adapter at its first values hides faults.
inline void randomize(Transformer& model, const std::string& name, double deviation = 0.2, uint64_t seed = 7) {
  at::NoGradGuard no_grad;
  at::manual_seed(seed);
  for (auto& [key, tensor] : parameters(model, name)) tensor.copy_(at::empty(tensor.sizes()).normal_(0, deviation));   // the same on every device
}

inline double difference(const Tensor& a, const Tensor& b) { return (a.cpu().to(at::kDouble) - b.cpu().to(at::kDouble)).abs().max().item<double>(); }

/// A folder that is gone after the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "graft_test_XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace graft::testing
