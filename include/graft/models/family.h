#pragma once
// Families of models: what their config.json means. A family is one file and one line in the table; its oddities stay inside it.
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graft/core/json.h"
#include "graft/nn/transformer.h"

namespace graft {

struct GgufForm;

struct Family {
  std::string_view name;                          // config.json's model_type
  std::string_view architecture;                  // config.json's architectures[0], of the model before any task
  /// The model that the config describes, with the task's head. RequestError: everything in the config that graft does not do, by name.
  std::shared_ptr<Transformer> (*build)(const Json& config, const Task& task, TensorSource& source);
  std::string_view gguf_architecture = {};        // general.architecture, "" if the family has no GGUF form of its own
  bool gguf_permutes_qk = false;                  // rows of q and k are interleaved in the GGUF
  const GgufForm* gguf = nullptr;                 // what else differs from Llama's GGUF (gguf_form.h)
  std::string_view optional_prefix = {};          // of tensors' names, which a file of the model without a head leaves out: "bert."
  bool (*transposed)(std::string_view tensor) = nullptr;   // whether files hold a matrix as [in, out]; none if null
};

// The growth table.
#define GRAFT_FAMILIES(X) X(llama) X(mistral) X(ministral) X(qwen2) X(qwen3) X(gemma) X(gemma2) X(gemma3_text) X(phi3) X(gpt2) X(olmo2) X(smollm3) X(bert) X(roberta)

#define GRAFT_DECLARE(name) extern const Family name##_family;
GRAFT_FAMILIES(GRAFT_DECLARE)
#undef GRAFT_DECLARE

std::span<const Family* const> families();
/// The family of a config.json; a RequestError that names model_type and the known ones.
const Family& family_of(const Json& config);

}  // namespace graft
