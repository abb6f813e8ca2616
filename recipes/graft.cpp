// The public face (graft/graft.h) over the recipes.
#include "graft/graft.h"

#include <algorithm>

#include "configs.h"
#include "export.h"
#include "finetune.h"
#include "generate.h"
#include "graft/config/yaml.h"
#include "graft/peft/adapter_file.h"

namespace graft {
namespace {

class HookObserver : public Observer {
 public:
  explicit HookObserver(const Hooks& hooks) : hooks_(hooks) {}
  void on_step(const StepReport& r) override {
    if (hooks_.on_progress)
      hooks_.on_progress({r.step, r.total_steps, r.loss, r.learning_rate, static_cast<double>(r.tokens) / r.seconds, -1, -1});
  }
  void on_eval(const EvalReport& r) override {
    if (hooks_.on_progress) hooks_.on_progress({r.step, 0, 0, 0, 0, r.loss, r.label_accuracy >= 0 ? r.label_accuracy : r.token_accuracy});
  }

 private:
  const Hooks& hooks_;
};

Log log_of(const Hooks& hooks) {
  if (!hooks.on_message) return {};
  return Log([say = hooks.on_message](LogLevel level, const std::string& text) { say((level == LogLevel::warning ? "warning: " : "") + text); });
}

GenerateOptions options_of(const Sampling& sampling) {
  return {sampling.max_new_tokens, sampling.temperature, sampling.top_k, sampling.top_p, sampling.seed};
}

}  // namespace

struct Model::Impl {
  Speaker speaker;
  std::vector<std::string> adapters;
};

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Model Model::load(const std::string& path, const std::string& device, const std::string& dtype, const std::string& quantization, std::stop_token stop) {
  Target target;
  target.model.path = path, target.what = path, target.quantization.format = quantization;
  return Model(std::make_unique<Impl>(Impl{open_speaker(target, device, dtype, {}, std::move(stop)), {}}));
}

void Model::add_adapter(const std::string& name, const std::string& folder) {
  load_adapter(*impl_->speaker.model, name, folder);
  impl_->adapters.push_back(name);
}

void Model::remove_adapter(const std::string& name) {
  graft::remove_adapter(*impl_->speaker.model, name);
  std::erase(impl_->adapters, name);
  if (impl_->speaker.adapter == name) impl_->speaker.adapter.clear();
}

void Model::use_adapter(const std::string& name) {
  require(name.empty() || std::find(impl_->adapters.begin(), impl_->adapters.end(), name) != impl_->adapters.end(),
          "no adapter '{}' was added", name);
  impl_->speaker.adapter = name;
}

std::vector<std::string> Model::adapters() const { return impl_->adapters; }

std::string Model::complete(const std::string& prompt, const Sampling& sampling, const std::function<void(const std::string&)>& on_text,
                            std::stop_token stop) {
  return answer(impl_->speaker, prompt_ids(impl_->speaker.base, prompt, "", /*raw=*/true), options_of(sampling), on_text, std::move(stop));
}

std::string Model::chat(const std::vector<Message>& messages, const Sampling& sampling, const std::function<void(const std::string&)>& on_text,
                        std::stop_token stop) {
  Json list = Json::array();
  for (const auto& [role, content] : messages) list.push_back({{"role", role}, {"content", content}});
  return answer(impl_->speaker, conversation_ids(impl_->speaker.base, list), options_of(sampling), on_text, std::move(stop));
}

void finetune(const std::string& config, const std::vector<std::string>& overrides, const Hooks& hooks) {
  HookObserver observer(hooks);
  finetune(read_jobs(read_config(find_config(config), overrides)), StartOptions{}, observer, log_of(hooks), hooks.stop);
}

void resume(const std::string& run, const std::vector<std::string>& overrides, const Hooks& hooks) {
  HookObserver observer(hooks);
  resume(std::filesystem::path(run), overrides, StartOptions{}, observer, log_of(hooks), hooks.stop);
}

double export_merged(const std::string& run, const std::string& out, const Hooks& hooks) {
  const Log log = log_of(hooks);
  return export_merged(open_target(run, "", "last", log), out, MergeOptions{}, log, hooks.stop).largest_difference;
}

}  // namespace graft
