#include "hub_config.h"

#include "graft/core/error.h"

namespace graft {
namespace {

constexpr std::string_view seat = ".adapters.";

bool flag(const Json& config, const char* key, bool otherwise) { return config.value(key, Json(otherwise)) == Json(true); }

}  // namespace

Json hub_config(BottleneckForm form, const BottleneckOptions& o, int64_t hidden_size) {
  const bool parallel = form == BottleneckForm::parallel;
  const Json scaling = o.learn_scaling ? Json("learned") : Json(o.scaling);
  const Json config = {{"mh_adapter", form == BottleneckForm::houlsby}, {"output_adapter", true}, {"cross_adapter", false}, {"is_parallel", parallel},
                       {"reduction_factor", o.reduction_factor}, {"non_linearity", o.non_linearity}, {"original_ln_before", form == BottleneckForm::pfeiffer},
                       {"original_ln_after", true}, {"residual_before_ln", true}, {"adapter_residual_before_ln", false}, {"ln_before", o.ln_before},
                       {"ln_after", o.ln_after}, {"init_weights", o.init_weights}, {"scaling", scaling}, {"use_gating", false}, {"dropout", 0.0},
                       {"inv_adapter", nullptr}, {"inv_adapter_reduction_factor", nullptr}, {"leave_out", Json::array()}, {"phm_layer", false}};
  Json file = {{"config", config}, {"hidden_size", hidden_size}, {"version", "adapters.1.3.0"}};
  if (o.train_norms) file["train_norms"] = true;   // graft's own: AdapterHub passes it over
  return file;
}

std::optional<BottleneckForm> hub_form(const Json& file) {
  if (!file.contains("config") || !file["config"].is_object() || !file["config"].contains("reduction_factor")) return std::nullopt;
  const Json& config = file["config"];
  if (flag(config, "is_parallel", false)) return BottleneckForm::parallel;
  return flag(config, "mh_adapter", false) ? BottleneckForm::houlsby : BottleneckForm::pfeiffer;
}

void take_hub_options(PeftFields& fields, BottleneckOptions& o) {
  const Json config = fields.config().at("config");
  const auto form = hub_form(fields.config());
  Json expected = hub_config(*form, o, 0)["config"];   // what is not an option of ours must say this
  for (const char* key : {"reduction_factor", "non_linearity", "ln_before", "ln_after", "init_weights", "scaling"}) expected.erase(key);
  ErrorList errors;
  for (const auto& [key, value] : expected.items())
    if (config.contains(key) && config[key] != value) errors.add("config.{}: {} is not supported (only {})", key, to_line(config[key]), to_line(value));
  errors.raise(fields.where() + ":");
  require(config.at("reduction_factor").is_number(), "{}: config.reduction_factor by layer is not supported", fields.where());
  o.reduction_factor = config.at("reduction_factor").get<double>();
  o.non_linearity = config.value("non_linearity", o.non_linearity);
  o.ln_before = config.value("ln_before", false), o.ln_after = config.value("ln_after", false);
  o.init_weights = config.value("init_weights", o.init_weights);
  const Json scaling = config.value("scaling", Json(1.0));
  require(scaling.is_number() || scaling == "learned", "{}: config.scaling {} is not supported (a number or learned)", fields.where(), to_line(scaling));
  o.train_norms = fields.config().value("train_norms", false);
  o.learn_scaling = !scaling.is_number();
  o.scaling = scaling.is_number() ? scaling.get<double>() : 1;
}

std::string hub_key(const std::string& parameter, const std::string& name) {
  const size_t at = parameter.find(seat);
  return at == std::string::npos ? parameter : parameter.substr(0, at + seat.size()) + name + "." + parameter.substr(at + seat.size());
}

std::string without_hub_name(const std::string& key) {
  const size_t at = key.find(seat);
  if (at == std::string::npos) return key;
  const size_t begin = at + seat.size(), end = key.find('.', begin);
  return end == std::string::npos ? key : key.substr(0, begin) + key.substr(end + 1);
}

std::string second_hub_key(const std::string& key) {
  constexpr std::string_view inner = ".adapter_down.0.";
  const size_t at = key.find(inner);
  return at == std::string::npos ? "" : key.substr(0, at) + ".adapter_norm_before." + key.substr(at + inner.size());
}

}  // namespace graft
