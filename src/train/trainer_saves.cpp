// The trainer's checkpoints: begun beside the training, waited for where it ends.
#include "graft/core/error.h"
#include "graft/train/trainer.h"

namespace graft {

std::string Trainer::last_good() const { return saved_step_ < 0 ? "none" : checkpoints_.path(saved_step_).string(); }

void Trainer::note_written(Observer& observer, bool wait) {
  try {
    if (const auto folder = writer_.take(wait)) observer.on_checkpoint(saved_step_ = begun_step_, *folder);
  } catch (const NotWritten& e) {
    begun_step_ = saved_step_;
    setup_.log.warn("{}. The run goes on and tries again at the next checkpoint; last good checkpoint: {}", e.what(), last_good());
  }
}

void Trainer::begin_save(Observer& observer) {
  if (begun_step_ == state_.step) return;
  finish_launched(observer);   // its report is part of the state
  note_written(observer, /*wait=*/true);
  writer_.begin({state_, parameter_values(setup_.model, setup_.adapter), optimizer_.state(), setup_.facts, setup_.job}, last_good());
  begun_step_ = state_.step;
  begun_at_ = std::chrono::steady_clock::now();
}

void Trainer::save_now(Observer& observer) {
  begin_save(observer);
  try {
    if (const auto folder = writer_.take(/*wait=*/true)) observer.on_checkpoint(saved_step_ = begun_step_, *folder);
  } catch (const NotWritten& e) {
    begun_step_ = saved_step_;
    fail("{}; last good checkpoint: {}", e.what(), last_good());
  }
}

void Trainer::save_if_possible(Observer& observer) {
  try {
    save_now(observer);
  } catch (const Error& e) {
    setup_.log.warn("{}", e.what());
  }
}

}  // namespace graft
