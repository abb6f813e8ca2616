// The program: verbs, signals, messages and exit codes. 0 done; 1 the run failed; 2 the request was wrong; 3 stopped after saving.
#include <CLI/CLI.hpp>

#include <malloc.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <stop_token>
#include <thread>

#include "configs.h"
#include "describe.h"
#include "export.h"
#include "finetune.h"
#include "generate.h"
#include "graft/config/help.h"
#include "graft/config/yaml.h"
#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/core/table.h"
#include "graft/io/atomic_file.h"
#include "graft/report/progress.h"

namespace graft {
namespace {

/// SIGINT and SIGTERM ask for a stop; a second one ends the program at once. Handled on a thread of its own, where anything may be done.
std::stop_source watch_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);   // every thread inherits this
  std::stop_source source;
  std::thread([signals, source]() mutable {
    int signal = 0;
    sigwait(&signals, &signal);
    fmt::print(stderr, "\nstopping: finishes what cannot be cut off, then saves (once more: stops at once)\n");
    source.request_stop();
    sigwait(&signals, &signal);
    std::_Exit(3);
  }).detach();
  return source;
}

// Verbs that people type from habit.
const std::pair<const char*, const char*> habits[] = {
    {"train", "finetune"}, {"sft", "finetune"}, {"fit", "finetune"}, {"fine-tune", "finetune"}, {"eval", "evaluate"}, {"test", "evaluate"},
    {"merge", "export RUN --merged OUT"}, {"save", "export"}, {"infer", "generate"}, {"inference", "generate"}, {"predict", "generate"},
    {"preprocess", "show"}, {"info", "inspect"}, {"continue", "resume"}, {"init", "new"}, {"env", "doctor"}};

void check_verb(const CLI::App& app, const std::string& verb) {
  std::vector<std::string> verbs;
  for (const auto* sub : app.get_subcommands({})) verbs.push_back(sub->get_name());
  if (verb.empty() || verb.starts_with('-') || std::find(verbs.begin(), verbs.end(), verb) != verbs.end()) return;
  for (const auto& [typed, meant] : habits)
    if (verb == typed) refuse("no verb '{}': you mean  graft {}", verb, meant);
  refuse("no verb '{}'{}; there are: {}", verb, did_you_mean(verb, verbs), join(verbs));
}

int64_t parse_bytes(const std::string& text) {
  size_t end = 0;
  const double number = std::stod(text, &end);
  std::string unit = text.substr(end);
  for (const auto& [name, factor] : {std::pair<const char*, double>{"", 1}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}})
    if (unit == name && number > 0) return static_cast<int64_t>(number * factor);
  refuse("--max-shard-size {}: expected a size like 5GB or 200MB", text);
}

/// The program's options and what each verb does with them.
class Program {
 public:
  explicit Program(std::stop_token stop)
      : progress_(stdout), stop_(std::move(stop)), log_([this](LogLevel level, const std::string& text) {
          progress_.clear();
          fmt::print(stderr, "{}{}\n", level == LogLevel::warning ? "warning: " : "", text);
        }) {
    app_.set_help_all_flag("--help-all", "help for every verb");
    app_.set_version_flag("--version", GRAFT_VERSION);
    app_.require_subcommand(1);
    add_finetune(), add_resume(), add_export(), add_generate(), add_chat(), add_evaluate(), add_look();
  }

  int run(int argc, char** argv) {
    try {
      if (argc > 1) check_verb(app_, argv[1]);
      app_.parse(argc, argv);
      return 0;
    } catch (const CLI::ParseError& e) {
      return app_.exit(e) == 0 ? 0 : 2;
    } catch (const Stopped& e) {
      progress_.clear();
      fmt::print(stderr, "{}\n{}", e.what(), run_folder_.empty() ? "" : "go on with:  graft resume " + run_folder_ + "\n");
      return 3;
    } catch (const RequestError& e) {
      progress_.clear();
      fmt::print(stderr, "graft: {}\n", e.what());
      return 2;
    } catch (const std::exception& e) {
      progress_.clear();
      fmt::print(stderr, "graft: failed: {}\n", e.what());
      return 1;
    }
  }

 private:
  CLI::App* verb(const std::string& name, const std::string& help, std::function<void()> action) {
    CLI::App* sub = app_.add_subcommand(name, help);
    sub->final_callback(std::move(action));
    return sub;
  }
  void add_start_flags(CLI::App* sub) {
    sub->add_flag("--allow-change", start_.allow_change, "go on although options, data or base changed");
  }
  void add_target(CLI::App* sub) {
    sub->add_option("target", path_, "a run's folder, a model's folder, a .gguf file, or org/name in the Hugging Face cache")->required();
    sub->add_option("--adapter-folder", adapter_, "for a model: a PEFT adapter to use");
    sub->add_option("--checkpoint", checkpoint_, "for a run: last, best or a step")->capture_default_str();
  }
  void add_template(CLI::App* sub) {
    sub->add_option("--chat-template", template_, "auto (the model's or run's own) | chatml | a .jinja file")->capture_default_str();
  }
  void add_compute(CLI::App* sub) {
    sub->add_option("--device", device_, "auto | cpu | cuda | cuda:N")->capture_default_str();
    sub->add_option("--dtype", dtype_, "auto | bf16 | fp16 | fp32")->capture_default_str();
  }
  void add_sampling(CLI::App* sub) {
    sub->add_option("--max-new-tokens", sampling_.max_new_tokens, "stop after so many tokens")->capture_default_str()->check(CLI::PositiveNumber);
    sub->add_option("--temperature", sampling_.temperature, "0: the likeliest token; higher: more random")->capture_default_str()->check(CLI::NonNegativeNumber);
    sub->add_option("--top-k", sampling_.top_k, "sample among the k likeliest; 0: all")->capture_default_str()->check(CLI::NonNegativeNumber);
    sub->add_option("--top-p", sampling_.top_p, "sample among the likeliest that hold this share")->capture_default_str()->check(CLI::Range(0.0, 1.0));
    sub->add_option("--seed", sampling_.seed, "of the sampling")->capture_default_str();
    sub->add_option("--system", system_, "a system message");
  }

  Target named_target() {
    Target target = open_target(path_, adapter_, checkpoint_, log_);
    if (template_ != "auto") target.model.chat_template = template_;
    return target;
  }
  Job read_job_file() {
    Job job = read_job<Job>(read_config(find_config(path_), overrides_));
    run_folder_ = job.output_dir;
    return job;
  }

  void add_finetune() {
    auto* sub = verb("finetune", "launch a job: CONFIG [key=value ...]", [this] { finetune(read_job_file(), start_, progress_, log_, stop_); });
    sub->add_option("config", path_, "a YAML file, or the name of an installed config")->required();
    sub->add_option("overrides", overrides_, "key=value, for example train.epochs=3");
    sub->add_flag("--resume-or-start", start_.resume_or_start, "go on with the run in output_dir if there is one");
    sub->add_flag("--overwrite", start_.overwrite, "remove the run in output_dir and start anew");
    add_start_flags(sub);
    sub->footer([] { return "Keys of a job:\n" + job_help(); });
  }
  void add_resume() {
    auto* sub = verb("resume", "go on with a run: RUN [key=value ...]", [this] {
      run_folder_ = path_;
      resume(path_, overrides_, start_, progress_, log_, stop_);
    });
    sub->add_option("run", path_, "the run's folder")->required();
    sub->add_option("overrides", overrides_, "key=value: train.epochs=5 extends a finished run");
    add_start_flags(sub);
  }
  void add_export() {
    auto* sub = verb("export", "write what a run learned for other tools: RUN --merged OUT | --adapter OUT", [this] {
      const Target target = named_target();
      require(!merged_.empty() || !adapter_out_.empty(), "export: say what to write: --merged OUT, --adapter OUT, or both");
      merge_.max_shard_bytes = parse_bytes(shard_size_);
      merge_.verify = !no_verify_;
      if (!adapter_out_.empty()) export_adapter(target, adapter_out_, log_);
      if (!merged_.empty()) export_merged(target, merged_, merge_, log_, stop_);
    });
    add_target(sub);
    add_template(sub);
    sub->add_option("--merged", merged_, "the merged model, as a Hugging Face folder");
    sub->add_option("--adapter", adapter_out_, "the adapter, as a PEFT folder");
    sub->add_option("--dtype", merge_.dtype, "of the merged tensors: auto (the base's) | bf16 | fp16 | fp32")->capture_default_str();
    sub->add_option("--max-shard-size", shard_size_, "largest file")->capture_default_str();
    sub->add_flag("--no-verify", no_verify_, "do not compare with the live adapter");
  }
  void add_generate() {
    auto* sub = verb("generate", "answer a prompt, or every sample of a file", [this] { run_generate(); });
    add_target(sub), add_template(sub), add_compute(sub), add_sampling(sub);
    sub->add_option("--prompt", prompt_, "the prompt; without it and --data, lines of standard input");
    sub->add_option("--data", data_file_, "answer every sample of this file (any of graft's formats)");
    sub->add_option("--out", out_, "with --data: the JSONL file to write; goes on where it was stopped")->capture_default_str();
    sub->add_option("--batch-size", batch_size_, "with --data: samples at once")->capture_default_str()->check(CLI::PositiveNumber);
    sub->add_flag("--raw", raw_, "the prompt as it is, without the chat template");
  }
  void run_generate() {
    Speaker speaker = open_speaker(named_target(), device_, dtype_, log_, stop_);
    if (!data_file_.empty()) {
      DataOptions data;
      data.train = {DataSource{.path = data_file_}};
      const int64_t count = answer_file(speaker, data, out_, batch_size_, sampling_, log_, stop_);
      log_.info("{} new answers in {}", count, out_);
      return;
    }
    const auto say = [&](const std::string& prompt) {
      answer(speaker, prompt_ids(speaker, prompt, system_, raw_), sampling_, [](const std::string& text) { fmt::print("{}", text), std::fflush(stdout); }, stop_);
      fmt::print("\n");
    };
    if (!prompt_.empty()) return say(prompt_);
    for (std::string line; std::getline(std::cin, line);)
      if (!line.empty()) say(line);
  }
  void add_chat() {
    auto* sub = verb("chat", "talk with a model or a run on the terminal", [this] {
      Speaker speaker = open_speaker(named_target(), device_, dtype_, log_, stop_);
      Json messages = Json::array();
      if (!system_.empty()) messages.push_back({{"role", "system"}, {"content", system_}});
      for (std::string line; fmt::print("> "), std::fflush(stdout), std::getline(std::cin, line);) {
        messages.push_back({{"role", "user"}, {"content", line}});
        const std::string text = answer(speaker, conversation_ids(speaker, messages), sampling_,
                                        [](const std::string& piece) { fmt::print("{}", piece), std::fflush(stdout); }, stop_);
        fmt::print("\n");
        messages.push_back({{"role", "assistant"}, {"content", text}});
      }
    });
    add_target(sub), add_template(sub), add_compute(sub), add_sampling(sub);
  }
  void add_evaluate() {
    auto* sub = verb("evaluate", "loss, perplexity and label accuracy on files (a run's own held-out data without any)", [this] {
      DataOptions data;
      for (const auto& file : files_) data.train.push_back(DataSource{.path = file});
      data.max_length = static_cast<int>(max_length_);
      if (files_.empty()) data = held_out_data(path_);
      fmt::print("{}", evaluate_target(named_target(), data, device_, dtype_, batch_size_, log_, stop_));
    });
    add_target(sub), add_compute(sub);
    sub->add_option("files", files_, "data files");
    sub->add_option("--batch-size", batch_size_, "samples at once")->capture_default_str()->check(CLI::PositiveNumber);
    add_template(sub);
    sub->add_option("--max-length", max_length_, "longest sample, in tokens")->capture_default_str()->check(CLI::PositiveNumber);
  }
  void add_look() {
    auto* look = verb("inspect", "describe a model, adapter, run, checkpoint or file", [this] { fmt::print("{}", inspect(path_, tensors_)); });
    look->add_option("path", path_, "what to describe")->required();
    look->add_flag("--tensors", tensors_, "list every tensor");
    auto* show = verb("show", "samples as tokens: what is learnt stands in [[ ]]", [this] { fmt::print("{}", show_samples(read_job_file(), count_, log_)); });
    show->add_option("config", path_, "the job")->required();
    show->add_option("overrides", overrides_, "key=value");
    show->add_option("-n,--count", count_, "how many")->capture_default_str();
    verb("doctor", "what this machine and build can do", [] { fmt::print("{}", describe_machine()); });
    auto* fresh = verb("new", "write a commented config, or copy an installed one", [this] { write_new(); });
    fresh->add_option("file", path_, "where to write; without it, what there is to copy is listed");
    fresh->add_option("--from", from_, "an installed config's name");
    verb("schema", "the JSON schema of a job, for editors", [] { fmt::print("{}", job_schema()); });
  }
  void write_new() {
    if (path_.empty()) {
      fmt::print("graft new FILE writes every key at its default; --from NAME copies one of:\n");
      for (const auto& file : installed_configs()) fmt::print("  {:<20} {}\n", file.stem().string(), file.string());
      return;
    }
    require(!std::filesystem::exists(path_), "{} exists already", path_);
    write_file(path_, from_.empty() ? new_config() : read_text(find_config(from_)));
    log_.info("wrote {}", path_);
  }

  CLI::App app_{"graft: fine-tunes transformer language models with small modules on a frozen base", "graft"};
  ProgressLine progress_;
  std::stop_token stop_;
  Log log_;
  StartOptions start_;
  MergeOptions merge_;
  GenerateOptions sampling_;
  std::vector<std::string> overrides_, files_;
  std::string path_, adapter_, checkpoint_ = "last", template_ = "auto", device_ = "auto", dtype_ = "auto", system_, prompt_, data_file_, out_ = "predictions.jsonl";
  std::string merged_, adapter_out_, shard_size_ = "5GB", from_, run_folder_;
  int64_t batch_size_ = 16, max_length_ = 2048, count_ = 3;
  bool no_verify_ = false, raw_ = false, tensors_ = false;
};

}  // namespace
}  // namespace graft

int main(int argc, char** argv) {
  // Large blocks come back every step: keep them, instead of asking the kernel for fresh (zeroed, faulting) pages each time.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2'000'000'000);
  std::stop_source stop = graft::watch_signals();
  return graft::Program(stop.get_token()).run(argc, argv);
}
