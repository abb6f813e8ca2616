#pragma once
// A job in the shape of the real one, with a field of every type that sections may have.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "graft/config/visit.h"

namespace graft::sample {

struct Model {
  std::string path;
  std::string chat_template = "auto";
  void visit(auto& v) {
    v("path", path, "a folder, a file or a name");
    v("chat_template", chat_template, "auto, chatml or a file");
  }
  bool operator==(const Model&) const = default;
};

struct Quantization {
  std::string format = "nf4";
  bool double_quantization = false;
  void visit(auto& v) {
    v("format", format, "of the frozen base", {"nf4", "fp4", "int8"});
    v("double_quantization", double_quantization, "quantise the scales too");
  }
  bool operator==(const Quantization&) const = default;
};

/// Which fields there are depends on the method.
struct Adapter {
  std::string method = "lora";
  int rank = 8;
  double alpha = 16;
  int bottleneck = 64;
  std::variant<std::string, std::vector<std::string>> target_modules = "all-linear";
  std::map<std::string, int> rank_pattern;
  void visit(auto& v) {
    v("method", method, "what to graft", {"lora", "bottleneck"});
    if (method == "lora") {
      v("rank", rank, "width of the update", AtLeast{1});
      v("alpha", alpha, "scale is alpha / rank", MoreThan{0});
      v("rank_pattern", rank_pattern, "other ranks by name", AtLeast{1});
    } else {
      v("bottleneck", bottleneck, "width", AtLeast{1});
    }
    v("target_modules", target_modules, "names or one pattern");
  }
  bool operator==(const Adapter&) const = default;
};

struct Source {
  std::string path;
  std::string format = "auto";
  std::optional<int64_t> limit;
  std::map<std::string, std::string> columns;
  void visit(auto& v) {
    v("path", path, "a file");
    v("format", format, "how it is laid out", {"auto", "alpaca", "messages"});
    v("limit", limit, "most samples", AtLeast{1});
    v("columns", columns, "our name: theirs");
  }
  bool operator==(const Source&) const = default;
};

struct Data {
  std::vector<Source> train;
  double val_size = 0;
  bool packing = false;
  int64_t max_length = 2048;
  void visit(auto& v) {
    v("train", train, "what to learn from");
    v("val_size", val_size, "share held out", Between{0, 1});
    v("packing", packing, "several samples a row");
    v("max_length", max_length, "tokens a sample", AtLeast{1});
  }
  bool operator==(const Data&) const = default;
};

struct Train {
  double epochs = 3;
  std::optional<int64_t> max_steps;
  double learning_rate = 2e-4;
  std::vector<double> betas = {0.9, 0.999};
  std::optional<double> max_grad_norm = 1.0;
  uint64_t seed = 42;
  void visit(auto& v) {
    v("epochs", epochs, "passes over the data", MoreThan{0});
    v("max_steps", max_steps, "stop here instead", AtLeast{1});
    v("learning_rate", learning_rate, "at its highest", MoreThan{0});
    v("betas", betas, "of Adam", Between{0, 1});
    v("max_grad_norm", max_grad_norm, "clip to this");
    v("seed", seed, "of everything");
  }
  bool operator==(const Train&) const = default;
};

struct Job {
  Model model;
  std::optional<Quantization> quantization;
  Adapter adapter;
  std::map<std::string, Adapter> adapters;
  Data data;
  Train train;
  std::string output_dir = "runs/job";
  void visit(auto& v) {
    v("model", model, "what is fine-tuned");
    v("quantization", quantization, "of the frozen base; leave out for 16 bits");
    v("adapter", adapter, "what is grafted");
    v("adapters", adapters, "several, by name");
    v("data", data, "what is learnt");
    v("train", train, "how");
    v("output_dir", output_dir, "where the run goes");
  }
  bool operator==(const Job&) const = default;
};

}  // namespace graft::sample
