#pragma once
// The names of a quantised weight's parts in a file, beside `<name>` itself, which holds the codes.
#include <string>
#include <string_view>
#include <vector>

namespace graft::layout {

inline constexpr std::string_view nf4_state = ".quant_state.bitsandbytes__nf4", fp4_state = ".quant_state.bitsandbytes__fp4";
inline constexpr std::string_view absmax = ".absmax", quant_map = ".quant_map", nested_absmax = ".nested_absmax", nested_map = ".nested_quant_map";
inline constexpr std::string_view graft_state = ".graft_state", scale = ".scale", scale_codes = ".scale_codes", nested_scale = ".nested_scale", zero = ".zero";

/// bitsandbytes keeps int8 constants beside the module, not the weight: model.layers.0.mlp.up_proj.SCB
inline std::string beside(const std::string& weight, std::string_view part) { return weight.substr(0, weight.rfind('.')) + std::string(part); }
inline constexpr std::string_view scb = ".SCB", weight_format = ".weight_format";

inline std::string join(const std::string& weight, std::string_view part) { return weight + std::string(part); }

}  // namespace graft::layout
