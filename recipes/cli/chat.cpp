// chat: a conversation on the terminal.
#include "../chat.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <mutex>

#include "graft/core/error.h"
#include "verbs.h"

namespace graft::cli {
namespace {

struct Flags {
  TargetFlags target;
  ComputeFlags compute;
  SamplingFlags sampling;
};

/// The answer that Ctrl-C stops; between answers it only begins a new line.
class Interrupt {
 public:
  explicit Interrupt(Signals& signals) : signals_(signals) {
    signals_.on_interrupt([this] {
      const std::lock_guard lock(mutex_);
      if (answering_)
        source_.request_stop();
      else
        show(stdout, "\n(Ctrl-D ends)\n> ");
    });
  }
  ~Interrupt() { signals_.on_interrupt({}); }
  std::stop_token begin() {
    const std::lock_guard lock(mutex_);
    source_ = {}, answering_ = true;
    return source_.get_token();
  }
  void end() {
    const std::lock_guard lock(mutex_);
    answering_ = false;
  }

 private:
  Signals& signals_;
  std::mutex mutex_;
  std::stop_source source_;
  bool answering_ = false;
};

void answer_line(Chat& chat, const std::string& line, Interrupt& interrupt) {
  try {
    if (line.starts_with('/')) return show(stdout, chat.command(line));
    const bool whole = chat.say(
        line, [](const std::string& piece) { show(stdout, piece); }, interrupt.begin());
    show(stdout, whole ? "\n" : " (stopped)\n");
  } catch (const RequestError& e) {  // a mistyped command is no reason to leave
    show(stdout, std::string(e.what()) + "\n");
  }
}

void run_chat(const Program& program, const Flags& flags) {
  Chat chat(open_speaker(flags.target.open_all(program.log), flags.compute.device, flags.compute.dtype, program.log, program.stop),
            flags.sampling.options, flags.sampling.system, program.log);
  const bool terminal = isatty(STDIN_FILENO) != 0;
  if (terminal) show(stdout, "/help lists the commands; Ctrl-C stops an answer, Ctrl-D ends.\n");
  const std::stop_callback leave(program.stop, [] { std::_Exit(3); });  // SIGTERM: a chat has nothing to save
  Interrupt interrupt(program.signals);
  for (std::string line; show(stdout, terminal ? "> " : ""), std::getline(std::cin, line);) {
    if (!line.empty()) answer_line(chat, line, interrupt);
    interrupt.end();
  }
  if (terminal) show(stdout, "\n");
}

}  // namespace

void add_chat_verb(Program& program) {
  auto flags = std::make_shared<Flags>();
  auto* verb = program.verb("chat", "talk with a model or a run on the terminal: MODEL [ADAPTER]",
                            [&program, flags] { run_chat(program, *flags); });
  flags->target.add(verb), flags->compute.add(verb), flags->sampling.add(verb);
  verb->add_option("adapter", flags->target.adapters,
                   "for a model: a PEFT adapter's folder, as --adapter-folder; /adapter takes more")
      ->expected(1);
}

}  // namespace graft::cli
