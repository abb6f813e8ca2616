#include <algorithm>
#include <cstdlib>

#include "checkpoint_files.h"
#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/core/table.h"
#include "graft/io/model_folder.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

fs::path expanded(const std::string& path) {
  if (path == "~" || path.starts_with("~/")) return fs::path(variable("HOME")) / path.substr(std::min<size_t>(2, path.size()));
  return path;
}

// As huggingface_hub finds it.
fs::path cache_folder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const auto folder = variable(name); !folder.empty()) return expanded(folder);
  if (const auto home = variable("HF_HOME"); !home.empty()) return expanded(home) / "hub";
  if (const auto cache = variable("XDG_CACHE_HOME"); !cache.empty()) return expanded(cache) / "huggingface" / "hub";
  return expanded("~/.cache/huggingface/hub");
}

// org/name[@revision] (or name, as the first models had it).
struct HubName {
  std::string name, revision;  // "" for main

  std::string text() const { return revision.empty() ? name : name + "@" + revision; }
  std::string command() const {
    std::string line = fmt::format("hf download {} --include \"*.safetensors\" --include \"*.json\" --include \"*.jinja\"", name);
    return revision.empty() ? line : fmt::format("{} --revision {}", line, revision);
  }
};

bool is_name_part(std::string_view part) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  return !part.empty() && part.find_first_not_of(letters) == std::string_view::npos && part != "." &&
         part.find("..") == part.npos;
}

// Every part between slashes is a plain name, so nothing leads out of the cache.
bool is_slashed_name(std::string_view text, size_t max_parts) {
  for (size_t parts = 1;; ++parts) {
    const size_t slash = text.find('/');
    if (!is_name_part(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return parts <= max_parts;
    text.remove_prefix(slash + 1);
  }
}

std::optional<HubName> parse_hub_name(const std::string& path) {
  const size_t at = path.find('@');
  HubName hub{path.substr(0, at), at == std::string::npos ? "" : path.substr(at + 1)};
  const bool good = is_slashed_name(hub.name, 2) && (at == std::string::npos || is_slashed_name(hub.revision, 8));
  return good ? std::optional(hub) : std::nullopt;
}

// refs/<revision> holds a commit; a commit is also a revision.
fs::path snapshot_folder(const fs::path& repository, const HubName& hub) {
  const std::string revision = hub.revision.empty() ? "main" : hub.revision;
  std::string commit = revision;
  if (const fs::path ref = repository / "refs" / revision; is_there(ref)) {
    commit = read_text(ref, 4096);
    commit.erase(std::find_if(commit.begin(), commit.end(), [](unsigned char c) { return std::isspace(c) || c == 0; }),
                 commit.end());
    require(is_name_part(commit), "{}: expected a commit, found '{}'; remove the file and run `{}`", ref.string(), commit,
            hub.command());
  }
  const fs::path snapshot = repository / "snapshots" / commit;
  require(is_there(snapshot), "{}: not in the Hugging Face cache ({} has no revision '{}'); download it: {}", hub.text(),
          repository.string(), revision, hub.command());
  return snapshot;
}

// What is missing from a snapshot that a model needs, or "".
std::string missing_part(const fs::path& repository, const fs::path& snapshot) {
  if (!is_there(snapshot / "config.json")) return "config.json";
  const WeightFiles weights = find_weights(snapshot);
  if (!weights.missing.empty()) return join(weights.missing);
  if (weights.files.empty()) return "model.safetensors";
  // A model may have no tokenizer.json, but not while a download was broken off.
  const bool broken_off = !files_ending(repository / "blobs", ".incomplete").empty();
  return broken_off && !is_there(snapshot / "tokenizer.json") ? "tokenizer.json" : "";
}

fs::path resolve_hub_name(const HubName& hub) {
  std::string folder = "models--" + hub.name;
  if (const size_t slash = folder.find('/'); slash != std::string::npos) folder.replace(slash, 1, "--");
  const fs::path repository = cache_folder() / folder;
  require(is_there(repository), "{}: neither a folder nor in the Hugging Face cache ({}); download it: {}", hub.text(),
          cache_folder().string(), hub.command());
  const fs::path snapshot = snapshot_folder(repository, hub);
  const auto ggufs = files_ending(snapshot, ".gguf");
  const std::string missing = missing_part(repository, snapshot);
  if (missing == "config.json" && !ggufs.empty()) {
    require(ggufs.size() == 1, "{}: has several GGUF files; give the path of one: {}", hub.text(),
            (snapshot / join(ggufs)).string());
    return snapshot / ggufs.front();
  }
  if (missing.empty()) return snapshot;
  if (missing == "model.safetensors") refuse_pickles(snapshot, hub.name);
  refuse("{}: its copy in the Hugging Face cache ({}) is incomplete: no {}; complete it: {}", hub.text(), snapshot.string(),
         missing, hub.command());
}

}  // namespace

std::filesystem::path resolve_model(const std::string& path) {
  require(!path.empty(), "model.path is empty: expected a folder, a .gguf file or org/name");
  const fs::path local = expanded(path);
  std::error_code error;
  const auto status = fs::status(local, error);
  if (fs::is_directory(status)) return local;
  if (fs::exists(status)) {
    for (const char* pickle : {".bin", ".ckpt", ".pt", ".pth"})
      if (local.extension() == pickle)
        refuse("{}: a PyTorch pickle, which can run code when read; give its model's folder, and graft says how to convert it", path);
    require(local.extension() == ".gguf", "{}: a model is a folder, a .gguf file, or org/name; this is a file of another kind",
            path);
    return local;
  }
  const auto hub = parse_hub_name(path);
  require(hub.has_value() && local.extension() != ".gguf", "{}: no such folder or file", path);
  return resolve_hub_name(*hub);
}

}  // namespace graft
