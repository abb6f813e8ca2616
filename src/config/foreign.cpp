#include "graft/config/foreign.h"

#include <algorithm>
#include <iterator>

#include "graft/core/error.h"

namespace graft {
namespace {

// axolotl, LLaMA-Factory, and the arguments of transformers, TRL and PEFT. "key: value" rows are for values of keys that graft
// has too.
constexpr ForeignKey table[] = {
    // The model
    {"base_model", "model.path", ""},
    {"model_name_or_path", "model.path", ""},
    {"pretrained_model_name_or_path", "model.path", ""},
    {"model_name", "model.path", ""},
    {"tokenizer_config", "model.path", "the tokenizer comes with the model"},
    {"model_revision", "model.path", "write org/name@revision"},
    {"model_type", "", "not needed: the family is read from the model's config.json"},
    {"tokenizer_type", "", "not needed: the tokenizer is read from the model"},
    {"trust_remote_code", "", "not needed: graft runs no code of a model"},
    {"template", "model.chat_template", ""},
    {"chat_template_jinja", "model.chat_template", "a file"},
    // The frozen base
    {"load_in_4bit", "quantization.format", "nf4"},
    {"load_in_8bit", "quantization.format", "an 8-bit format"},
    {"quantization_bit", "quantization.format", "nf4 for 4 bits"},
    {"bnb_4bit_quant_type", "quantization.format", "nf4 or fp4"},
    {"bnb_4bit_use_double_quant", "quantization.double_quantization", ""},
    {"double_quant", "quantization.double_quantization", ""},
    {"adapter: lora", "adapter.method", "lora"},
    {"adapter: qlora", "quantization.format", "nf4, with adapter.method: lora"},
    // The adapter
    {"finetuning_type", "adapter.method", ""},
    {"peft_type", "adapter.method", "in small letters"},
    {"r", "adapter.rank", ""},
    {"lora_r", "adapter.rank", ""},
    {"lora_rank", "adapter.rank", ""},
    {"lora_alpha", "adapter.alpha", ""},
    {"lora_dropout", "adapter.dropout", ""},
    {"lora_target_modules", "adapter.target_modules", ""},
    {"lora_target", "adapter.target_modules", ""},
    {"lora_target_linear", "adapter.target_modules", "all-linear"},
    {"lora_model_dir", "adapter.init_from", ""},
    {"adapter_name_or_path", "adapter.init_from", ""},
    // The data
    {"datasets", "data.train", "a list of {path: ...}"},
    {"dataset", "data.train", "a list of {path: ...}"},
    {"dataset_name", "data.train", "a list of {path: ...}"},
    {"train_file", "data.train", "a list of {path: ...}"},
    {"test_datasets", "data.val", "a list of {path: ...}"},
    {"eval_dataset", "data.val", "a list of {path: ...}"},
    {"validation_file", "data.val", "a list of {path: ...}"},
    {"val_set_size", "data.val_size", ""},
    {"ds_type", "data.train.*.format", ""},
    {"type", "data.train.*.format", ""},
    {"max_samples", "data.train.*.limit", ""},
    {"sequence_len", "data.max_length", ""},
    {"cutoff_len", "data.max_length", ""},
    {"max_seq_length", "data.max_length", ""},
    {"max_seq_len", "data.max_length", ""},
    {"model_max_length", "data.max_length", ""},
    {"train_on_inputs", "data.train_on", "all, or assistant for train_on_inputs: false"},
    {"train_on_prompt", "data.train_on", "all"},
    {"assistant_only_loss", "data.train_on", "assistant"},
    {"default_system", "data.system", ""},
    {"default_system_message", "data.system", ""},
    {"sample_packing", "data.packing", ""},
    {"neat_packing", "data.packing", ""},
    {"pad_to_sequence_len", "", "not needed: batches are as long as their longest row"},
    {"dataset_prepared_path", "", "not needed: the cache of tokenised data looks after itself"},
    {"preprocessing_num_workers", "", "not needed: tokenising uses every core"},
    {"group_by_length", "", "not needed: batches are grouped by length"},
    // Training
    {"num_train_epochs", "train.epochs", ""},
    {"num_epochs", "train.epochs", ""},
    {"per_device_train_batch_size", "train.micro_batch_size", ""},
    {"batch_size", "train.micro_batch_size", "the number of samples (evaluation has eval.batch_size)"},
    {"per_device_eval_batch_size", "eval.batch_size", ""},
    {"eval_batch_size", "eval.batch_size", ""},
    {"lr", "train.learning_rate", ""},
    {"optim", "", "not needed: graft trains with AdamW"},
    {"optimizer", "", "not needed: graft trains with AdamW"},
    {"lr_scheduler_type", "train.lr_scheduler", ""},
    {"gradient_clipping", "train.max_grad_norm", ""},
    {"gradient_checkpointing", "train.recompute", "layer"},
    {"bf16", "train.dtype", "bf16"},
    {"fp16", "train.dtype", "fp16"},
    {"fp32", "train.dtype", "fp32"},
    {"torch_dtype", "train.dtype", ""},
    {"pure_bf16", "train.dtype", "bf16"},
    {"flash_attention", "", "not needed: the fastest attention that fits is taken"},
    {"flash_attn", "", "not needed: the fastest attention that fits is taken"},
    {"attn_implementation", "", "not needed: the fastest attention that fits is taken"},
    {"stage", "", "not needed: a job is supervised fine-tuning"},
    {"do_train", "", "not needed: graft finetune trains"},
    // Along the way
    {"eval_steps", "eval.every", ""},
    {"evals_per_epoch", "eval.every", "a number of steps"},
    {"eval_strategy", "eval.every", "a number of steps"},
    {"evaluation_strategy", "eval.every", "a number of steps"},
    {"metric_for_best_model", "eval.metric", ""},
    {"early_stopping_patience", "eval.early_stop", ""},
    {"save_steps", "checkpoint.every", ""},
    {"saves_per_epoch", "checkpoint.every", "a number of steps"},
    {"save_strategy", "checkpoint.every", "a number of steps"},
    {"save_total_limit", "checkpoint.keep", ""},
    {"logging_steps", "train.log_every", ""},
    {"logging_dir", "", "not needed: metrics lie in the run's folder"},
    {"report_to", "", "not needed: metrics.jsonl lies in the run's folder"},
    {"wandb_project", "", "not supported; metrics.jsonl lies in the run's folder"},
    {"overwrite_output_dir", "", "not a key: graft finetune --overwrite"},
    {"resume_from_checkpoint", "", "not a key: graft resume RUN"},
};

}  // namespace

std::span<const ForeignKey> foreign_keys() { return table; }

std::string foreign_hint(std::string_view key, std::span<const std::string> paths) {
  const auto row =
      std::find_if(std::begin(table), std::end(table), [&](const ForeignKey& foreign) { return foreign.name == key; });
  if (row == std::end(table)) return "";
  if (row->ours.empty()) return std::string(row->note);
  const std::string ours = fmt::format("{}{}{}", row->ours, row->note.empty() ? "" : ": ", row->note);
  const bool is_here = std::find(paths.begin(), paths.end(), row->ours) != paths.end();
  return is_here ? "graft's name is " + ours : "graft's name would be " + ours + ", which this version or method does not have";
}

}  // namespace graft
