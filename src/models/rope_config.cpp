// What a config says of rotary positions, with the values that transformers puts where it says nothing.
#include <algorithm>
#include <cmath>

#include "graft/models/config_reader.h"

namespace graft {
namespace {

const std::vector<std::string> types = {"default", "linear", "dynamic", "llama3", "yarn", "longrope"};
const std::set<std::string> known = {"type",
                                     "rope_type",
                                     "rope_theta",
                                     "factor",
                                     "partial_rotary_factor",
                                     "original_max_position_embeddings",
                                     "low_freq_factor",
                                     "high_freq_factor",
                                     "attention_factor",
                                     "beta_fast",
                                     "beta_slow",
                                     "mscale",
                                     "mscale_all_dim",
                                     "truncate",
                                     "short_factor",
                                     "long_factor"};

/// Takes values of a section and notes those of another kind.
struct Section {
  const Json& values;
  ErrorList& errors;

  bool has(const char* key) const { return values.contains(key) && !values[key].is_null(); }
  double number(const char* key, double otherwise) const {
    if (!has(key)) return otherwise;
    if (!values[key].is_number()) errors.add("rope_scaling.{}: expected a number, got {}", key, to_line(values[key]));
    return values[key].is_number() ? values[key].get<double>() : otherwise;
  }
  std::vector<double> numbers(const char* key) const {
    const bool good = has(key) && values[key].is_array() &&
                      std::ranges::all_of(values[key], [](const Json& x) { return x.is_number() && x.get<double>() > 0; });
    if (good) return values[key].get<std::vector<double>>();
    errors.add("rope_scaling.{}: expected a list of positive numbers", key);
    return {};
  }
};

/// YaRN's attention scale, section 3.4.
double yarn_scale(double factor, double weight) { return factor <= 1 ? 1 : 0.1 * weight * std::log(factor) + 1; }

void read_yarn(const Section& section, RopeSpec& spec) {
  const auto or_default = [&](const char* key, double otherwise) {  // 0 is no value here
    const double value = section.number(key, 0);
    return value == 0 ? otherwise : value;
  };
  spec.beta_fast = or_default("beta_fast", 32), spec.beta_slow = or_default("beta_slow", 1);
  spec.truncate = section.values.value("truncate", Json(true)) != Json(false);
  const double one = section.number("mscale", 0), all = section.number("mscale_all_dim", 0);
  const double usual =
      one != 0 && all != 0 ? yarn_scale(spec.factor, one) / yarn_scale(spec.factor, all) : yarn_scale(spec.factor, 1);
  spec.attention_factor = section.number("attention_factor", usual);
}

void read_longrope(const Section& section, RopeSpec& spec) {
  spec.short_factor = section.numbers("short_factor"), spec.long_factor = section.numbers("long_factor");
  const double original = static_cast<double>(spec.original_max_position);
  const double factor = section.number("factor", static_cast<double>(spec.max_position) / original);
  spec.attention_factor =
      section.number("attention_factor", factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original)));
}

}  // namespace

RopeSpec ConfigReader::rope_from(const Json& values, double theta, int64_t max_positions, int64_t original_max) {
  const Section section{values, errors_};
  RopeSpec spec;
  const Json type = values.contains("rope_type") ? values["rope_type"] : values.value("type", Json("default"));
  spec.type = type.is_string() ? type.get<std::string>() : to_line(type);
  spec.theta = section.number("rope_theta", theta);
  spec.rotated_share = section.number("partial_rotary_factor", 1);
  spec.factor = section.number("factor", 1);
  spec.low_freq_factor = section.number("low_freq_factor", 1), spec.high_freq_factor = section.number("high_freq_factor", 4);
  spec.max_position = max_positions;
  const double original = section.number("original_max_position_embeddings", static_cast<double>(max_positions));
  spec.original_max_position = original_max > 0 ? original_max : static_cast<int64_t>(original);
  if (std::ranges::find(types, spec.type) == types.end())
    errors_.add("rope_scaling: type '{}' is not supported ({} are)", spec.type, fmt::join(types, ", "));
  for (const auto& [key, value] : values.items())
    if (!known.contains(key) && !value.is_null())
      errors_.add("rope_scaling.{}: {} is unknown; graft does not guess what it changes", key, to_line(value));
  if (!(spec.factor > 0) || !(spec.theta > 0) || spec.high_freq_factor <= spec.low_freq_factor || spec.original_max_position < 2)
    errors_.add("rope_scaling: {} has values that make no sense", to_line(values));
  if (spec.type == "yarn") read_yarn(section, spec);
  if (spec.type == "longrope") read_longrope(section, spec);
  return spec;
}

RopeSpec ConfigReader::rope(int64_t max_positions, double default_theta) {
  const double theta = real("rope_theta", default_theta), share = real("partial_rotary_factor", 1);
  const int64_t original_max = integer("original_max_position_embeddings", 0);
  const Json *old_form = object("rope_scaling"), *new_form = object("rope_parameters");
  const Json* section = new_form ? new_form : old_form;
  RopeSpec spec = rope_from(section ? *section : Json::object(), theta, max_positions, original_max);
  if (!section || !section->contains("partial_rotary_factor")) spec.rotated_share = share;
  return spec;
}

}  // namespace graft
