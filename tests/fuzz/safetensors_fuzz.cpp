// Any bytes: SafetensorsFile reads them or refuses them; what it accepts SafetensorsWriter can write, and that reads back equal.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "graft/core/error.h"
#include "graft/io/safetensors.h"
#include "scratch_file.h"

namespace {

void expect(bool ok) {
  if (!ok) std::abort();
}

void round_trip(const graft::SafetensorsFile& file, const std::filesystem::path& path) {
  std::vector<graft::SafetensorsWriter::Entry> entries;
  for (const auto& name : file.names()) entries.push_back({name, file.tensor(name).dtype, file.tensor(name).shape});
  graft::SafetensorsWriter out(path, std::move(entries), file.metadata());
  for (const auto& name : file.names()) out.write(name, file.tensor(name).bytes);
  out.finish();
  const graft::SafetensorsFile again(path);
  expect(again.names().size() == file.names().size());
  for (const auto& name : file.names()) {
    const auto &before = file.tensor(name), &after = again.tensor(name);
    expect(before.dtype == after.dtype && before.shape == after.shape && std::ranges::equal(before.bytes, after.bytes));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static graft::ScratchFile scratch;
  scratch.fill(data, size);
  try {
    const graft::SafetensorsFile file(scratch.path());
    round_trip(file, scratch.folder() / "again.safetensors");
  } catch (const graft::RequestError&) {
  }
  return 0;
}
