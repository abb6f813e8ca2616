#pragma once
// What a PEFT file says of the base's own modules beside the method's tensors.
#include <string>
#include <string_view>
#include <vector>

#include "graft/peft/graft_adapter.h"

namespace graft {

constexpr std::string_view peft_prefix = "base_model.model.";
constexpr const char* tying_key = "ensure_weight_tying";

/// Some of PEFT's first values take a part out of the base, which PEFT takes out again when it loads the file: there, the file alone is
/// not the adapter. RequestError; for LoftQ, whose base is a quantised one, a warning.
void check_initialisation(const Json& config, const std::string& where, const Log& log);

/// PEFT takes a module whole if its path ends with a name, even within a word: `norm` is input_layernorm too. graft's names are whole
/// words, so what PEFT took is added by its full name.
void name_in_full(std::vector<std::string>& modules_to_save, const TensorMap& tensors);

/// Whether the embedding is trained whole and a head that is the same tensor follows it. PEFT's does so if `ensure_weight_tying` is set;
/// if it is not, PEFT's head stays the base's, and the file means something else.
bool ties_head(const Transformer& model, const AdapterOptions& options);

/// Puts a tied head's values beside the embedding's: PEFT writes both, and wants both.
void add_tied_head(const Transformer& model, const AdapterOptions& options, TensorMap& tensors);

/// Takes the tensors of a classifier's head out of AdapterHub's, which has them in a file of their own.
TensorMap taken_head(const Transformer& model, TensorMap& tensors);

/// Takes out what repeats the base or another tensor; RequestErrors where the file was made for another base, or for a head that graft
/// would tie and PEFT would not.
void match_base(const Transformer& model, const AdapterOptions& options, const Json& config, TensorMap& tensors, const std::string& what);

}  // namespace graft
