#include "verbs.h"

#include "graft/core/error.h"

namespace graft::cli {

CLI::App* Program::verb(const std::string& name, const std::string& help, std::function<void()> action) {
  CLI::App* sub = app.add_subcommand(name, help);
  sub->final_callback(std::move(action));
  return sub;
}

void TargetFlags::add(CLI::App* verb) {
  verb->add_option("target", path, "a run's folder, a model's folder, a .gguf file, or org/name in the Hugging Face cache")->required();
  verb->add_option("--adapter-folder", adapters, "for a model: a PEFT or AdapterHub adapter to use (FOLDER or NAME=FOLDER)")->allow_extra_args(false);
  verb->add_option("--checkpoint", checkpoint, "for a run: last, best or a step")->capture_default_str();
  const auto formats = format_names();
  verb->add_option("--quantization", quantization, "for a model: keep its matrices in this format")->check(CLI::IsMember(std::vector<std::string>(formats.begin(), formats.end())));
  verb->add_option("--chat-template", chat_template, "auto (the model's or run's own) | chatml | a .jinja file")->capture_default_str();
}

std::vector<Target> TargetFlags::open_all(const Log& log) const {
  require(quantization == "none" || !is_run_folder(path), "--quantization is for models; {} is a run, whose base is kept as it was trained", path);
  std::vector<Target> targets = open_targets(path, adapters, checkpoint, log);
  for (Target& target : targets) {
    if (chat_template != "auto") target.model.chat_template = chat_template;
    if (quantization != "none") target.quantization.format = quantization;
  }
  return targets;
}

Target TargetFlags::open(const Log& log) const {
  std::vector<Target> targets = open_all(log);
  require(targets.size() == 1, "{}: this verb takes one adapter, and there are {}: name the folder of one of them", path, targets.size());
  return std::move(targets.front());
}

void ComputeFlags::add(CLI::App* verb) {
  verb->add_option("--device", device, "auto | cpu | cuda | cuda:N")->capture_default_str();
  verb->add_option("--dtype", dtype, "auto | bf16 | fp16 | fp32")->capture_default_str();
}

void SamplingFlags::add(CLI::App* verb) {
  verb->add_option("--max-new-tokens", options.max_new_tokens, "stop after so many tokens")->capture_default_str()->check(CLI::PositiveNumber);
  verb->add_option("--temperature", options.temperature, "0: the likeliest token; higher: more random")->capture_default_str()->check(CLI::NonNegativeNumber);
  verb->add_option("--top-k", options.top_k, "sample among the k likeliest; 0: all")->capture_default_str()->check(CLI::NonNegativeNumber);
  verb->add_option("--top-p", options.top_p, "sample among the likeliest that hold this share")->capture_default_str()->check(CLI::Range(0.0, 1.0));
  verb->add_option("--seed", options.seed, "of the sampling")->capture_default_str();
  verb->add_option("--system", system, "a system message");
}

}  // namespace graft::cli
