// Stands in for captured_with_cuda.cpp in builds without CUDA.
#include "graft/ops/captured.h"

namespace graft {

struct Capturer::State {};

Capturer::Capturer(c10::Device) {}
Capturer::~Capturer() = default;
void Capturer::run(const std::function<void()>& work) const { work(); }
std::function<void()> Capturer::capture(const std::function<void()>& work) const { return work; }

}  // namespace graft
