#include "graft/ops/captured.h"

namespace graft {

std::function<void()> captured(c10::Device device, std::function<void()> work) {
  if (device.is_cpu()) return work;
  const Capturer capturer(device);
  for (int i = 0; i < 3; ++i) capturer.run(work);
  return capturer.capture(work);
}

}  // namespace graft
