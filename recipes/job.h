#pragma once
// A job: everything a run is told, as its YAML says it. Each section lives with the package that reads it.
#include <string>
#include <vector>

#include "graft/config/visit.h"
#include "graft/data/dataset.h"
#include "graft/models/generate.h"
#include "graft/peft/adapter_options.h"
#include "graft/quant/options.h"
#include "graft/train/options.h"

namespace graft {

struct ModelOptions {
  std::string path;
  std::string chat_template = "auto";
  std::string task = "auto";
  std::string pooling = "auto";
  std::vector<std::string> labels;
  std::vector<std::string> new_tokens;
  void visit(auto& v) {
    v("path", path, "a folder, a .gguf file, or org/name[@revision] in the local Hugging Face cache");
    v("chat_template", chat_template, "auto (the model's own) | chatml | a .jinja file");
    v("task", task, "what it predicts; auto: as the data's format says", task_names());
    v("pooling", pooling, "which hidden state speaks for a text; auto: the first token's of an encoder, the last one's of a decoder", pooling_names());
    v("labels", labels, "a classifier's labels, in the order of its head; default: config.json's if they are the data's, else the data's, sorted");
    v("new_tokens", new_tokens, "tokens added to the vocabulary; their vectors are trained beside the adapter");
  }
};

struct Job {
  ModelOptions model;
  QuantizationOptions quantization;
  AdapterOptions adapter;
  DataOptions data;
  TrainOptions train;
  EvalOptions eval;
  CheckpointOptions checkpoint;
  std::string device = "auto";
  bool deterministic = false;
  std::string output_dir;
  void visit(auto& v) {
    v("model", model, "the base");
    v("quantization", quantization, "how the frozen base is kept; without it in 16 or 32 bits");
    v("adapter", adapter, "what is grafted onto it");
    v("data", data, "what it learns from");
    v("train", train, "how it learns");
    v("eval", eval, "how it is judged on the way");
    v("checkpoint", checkpoint, "what is kept to go on from");
    v("device", device, "auto | cpu | cuda | cuda:N");
    v("deterministic", deterministic, "the same bits each time on a GPU too: slower algorithms there, none that differs from run to run");
    v("output_dir", output_dir, "the run's folder");
  }
};

/// Faults that no single field shows: an empty model.path, no data, an output folder that is a file. Raises them all at once.
void check_job(const Job& job);

/// Fills what `auto` and the method decide (learning rate, dtype), so that the written job says what was used.
Job resolved(Job job);

}  // namespace graft
