#pragma once
// A run's numbers as TensorBoard shows them; the tags are those of transformers' trainer where it has one.
#include "graft/report/event_file.h"
#include "graft/train/observer.h"

namespace graft {

/// Writes events and passes everything on to the next observer.
class TensorBoardWriter : public Observer {
 public:
  /// `step`: the last one that the run has behind it; `job` is shown as text.
  TensorBoardWriter(const std::filesystem::path& folder, int64_t step, std::string_view job, int64_t every, Observer& next,
                    Log log = {});
  void on_step(const StepReport& report) override;
  void on_eval(const EvalReport& report) override;
  void on_checkpoint(int64_t step, const std::filesystem::path& folder) override { next_.on_checkpoint(step, folder); }

 private:
  EventFile events_;
  int64_t every_;
  Observer& next_;
};

}  // namespace graft
