#include "configs.h"

#include <algorithm>
#include <cstdlib>

#include "graft/config/help.h"
#include "graft/config/yaml.h"
#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/core/table.h"
#include "job.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

/// Where an installation or a build keeps the configs: beside the program, wherever that was put.
std::vector<fs::path> config_folders() {
  std::vector<fs::path> folders;
  if (const char* folder = std::getenv("GRAFT_CONFIGS"); folder && *folder) folders.emplace_back(folder);
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  for (const char* place : {"../share/graft/configs", "configs", "../configs", "../../configs"}) folders.push_back(program.parent_path() / place);
  return folders;
}

/// The files of the first of these folders that is there, by name.
std::vector<fs::path> installed(const char* subfolder, const char* extension) {
  for (const auto& place : config_folders()) {
    if (!fs::is_directory(place)) continue;
    std::vector<fs::path> files;
    if (const fs::path folder = place / subfolder; fs::is_directory(folder))
      for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().extension() == extension) files.push_back(entry.path().lexically_normal());
    std::sort(files.begin(), files.end());
    return files;
  }
  return {};
}

Job example_job(const std::string& method) {
  Job job;
  job.adapter.method = method;
  job.adapter.select_options();
  job.train.learning_rate = method_row(method).rate.usual;
  job.model.path = "HuggingFaceTB/SmolLM2-135M-Instruct";
  job.data.train = {DataSource{.path = "data/train.jsonl"}};
  job.output_dir = "runs/mine";
  return job;
}

}  // namespace

std::vector<fs::path> installed_configs() { return installed("", ".yaml"); }
std::vector<fs::path> installed_shapes() { return installed("shapes", ".json"); }

std::optional<fs::path> find_shape(const std::string& name) {
  if (name.ends_with(".json") && fs::is_regular_file(name)) return name;
  for (const auto& file : installed_shapes())
    if (file.stem() == name) return file;
  return std::nullopt;
}

fs::path shapes_folder() {
  const auto shapes = installed_shapes();
  require(!shapes.empty(), "no shapes are installed: GRAFT_CONFIGS names the folder of configs that has them in shapes/");
  return shapes.front().parent_path();
}

fs::path find_config(const std::string& name) {
  if (fs::is_regular_file(name)) return name;
  if (fs::is_regular_file(name + ".yaml")) return name + ".yaml";
  std::vector<std::string> names;
  for (const auto& file : installed_configs()) {
    if (file.stem() == name || file.filename() == name) return file;
    names.push_back(file.stem().string());
  }
  refuse("no config '{}': neither a file here nor an installed one{}; installed: {}", name, did_you_mean(name, names), join(names));
}

std::string new_config(const std::string& method) {
  return "# A job for graft: edit it, then run  graft finetune FILE   (any key can be overridden there: train.epochs=3)\n" +
         to_yaml(example_job(method), /*comments=*/true);
}

std::string job_schema() { return json_schema(Job{}).dump(2) + "\n"; }
std::string job_help() {
  std::string text = help_text(Job{}) + "\nMethods (adapter.method), the learning rate that each brings, and its own keys of `adapter`:\n";
  for (const MethodRow* row : methods()) {
    AdapterOptions adapter;
    adapter.method = row->name;
    adapter.select_options();
    text += fmt::format("\n{}: {}; learning rate {}\n", row->name, row->summary, row->rate.usual);
    std::visit([&](const auto& options) {
      if constexpr (Section<std::decay_t<decltype(options)>>) text += help_text(options);
    }, adapter.options);
  }
  return text;
}

}  // namespace graft
