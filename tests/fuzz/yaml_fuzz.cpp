// Any bytes as a job: read, or refused with an Error; what was read is written and reads back equal.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../config/sample_job.h"
#include "graft/config/yaml.h"

namespace {

using graft::sample::Job;

void read_write_read(std::string_view text, const std::vector<std::string>& overrides) {
  Job job;
  graft::ErrorList errors;
  try {
    graft::read_section(graft::parse_config(text, "job.yaml", overrides), job, errors);
  } catch (const graft::RequestError&) {
    return;
  }
  if (!errors.empty()) return;  // items that could not be read have no value to write
  for (const bool comments : {false, true}) {
    const std::string written = graft::to_yaml(job, comments);
    const Job again = graft::read_job<Job>(graft::parse_config(written, "written.yaml"));
    if (!(again == job) || !graft::differences(job, again).empty()) abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_write_read(text, {});
  // The first line as an override of the rest.
  if (const size_t end = text.find('\n'); end != std::string_view::npos)
    read_write_read(text.substr(end + 1), {std::string(text.substr(0, end))});
  return 0;
}
