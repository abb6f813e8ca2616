#pragma once
// Where, in what type and how repeatably a run computes.
#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

namespace graft {

/// "auto" (a GPU if there is one) | "cpu" | "cuda" | "cuda:1". A RequestError says why a GPU cannot be used.
at::Device device_from_name(std::string_view name);

/// "auto" | "fp32" | "bf16" | "fp16". auto: bf16 where the device has it in hardware, else fp16 on a GPU and fp32 on a CPU.
at::ScalarType dtype_from_name(std::string_view name, at::Device device);
std::string dtype_to_name(at::ScalarType dtype);

/// The card's name, or the processor's with the number of threads that compute.
std::string device_title(at::Device device);

/// One line a fact: version, LibTorch, CUDA built and found, the driver's fault if it has one, threads, the processor's instructions.
std::string describe_machine();

/// Why CUDA cannot be used, or "" if it can.
std::string cuda_fault();

/// Whether this CPU multiplies bf16 in hardware (AMX or avx512_bf16).
bool cpu_has_bf16();

struct DeviceMemory {
  int64_t allocated_peak = 0, reserved_peak = 0, free = 0, total = 0;  // bytes
  int64_t allocated = 0;   // now
};
/// LibTorch's allocator and the driver on a GPU; on the CPU the process's peak (VmHWM), RssAnon now, and what the machine has left.
DeviceMemory device_memory(at::Device device);
/// The peaks count from here; nothing on the CPU.
void reset_peak_memory(at::Device device);
/// What the allocator holds back goes to the driver; nothing on the CPU.
void release_memory(at::Device device);

/// While it lives, LibTorch takes only algorithms that give the same bits each time, and throws where it has none: no float atomics, no
/// cuDNN attention (the other kinds have such a backward), cuBLAS with a workspace of a fixed size. That must be told before cuBLAS is first
/// used in the process. Nothing if it is not wanted.
class Deterministic {
 public:
  explicit Deterministic(bool wanted);
  Deterministic(const Deterministic&) = delete;
  ~Deterministic();

 private:
  bool wanted_, before_, warn_only_before_, fill_before_, cudnn_before_;
};

/// Waits for all work on the device.
void synchronize(at::Device device);

}  // namespace graft
