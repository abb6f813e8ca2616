#include "graft/core/runtime.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/headeronly/version.h>

#include <fstream>

#include "graft/core/error.h"
#include "graft/kernels/api.h"

namespace graft {
namespace {

/// A line of a file in /proc, such as "VmHWM:   123 kB", in bytes; 0 if it is not there.
int64_t proc_bytes(const char* file, std::string_view key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key)) return std::stoll(line.substr(key.size() + 1)) * 1024;
  return 0;
}

}  // namespace

std::string cuda_fault() {
  if (!kernels::built_with_cuda()) return "this graft was built without CUDA (no nvcc, or a LibTorch without CUDA)";
  return kernels::cuda_fault();
}

at::Device device_from_name(std::string_view name) {
  if (name == "cpu") return at::kCPU;
  const std::string fault = cuda_fault();
  if (name == "auto") return fault.empty() ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  require(name == "cuda" || name.starts_with("cuda:"), "device '{}': expected auto, cpu, cuda or cuda:N", name);
  require(fault.empty(), "device '{}' cannot be used: {}", name, fault);
  const int index = name == "cuda" ? 0 : std::atoi(std::string(name.substr(5)).c_str());
  require(index >= 0 && index < kernels::cuda_device_count(), "device '{}': this machine has {} GPU(s)", name,
          kernels::cuda_device_count());
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
}

bool cpu_has_bf16() { return __builtin_cpu_supports("avx512bf16"); }  // every processor with AMX has it too

at::ScalarType dtype_from_name(std::string_view name, at::Device device) {
  if (name == "fp32") return at::kFloat;
  if (name == "fp16") {
    require(device.is_cuda(), "dtype fp16 is for GPUs: a CPU has no fast fp16 products; use fp32 or bf16");
    return at::kHalf;
  }
  if (name == "fp8") {
    require(device.is_cuda() && kernels::cuda_compute_capability(device.index()) >= 89, "dtype fp8 is for GPUs from compute capability 8.9 on; use bf16");
    return at::kBFloat16;   // of all but the products
  }
  if (name == "bf16") return at::kBFloat16;
  require(name == "auto", "dtype '{}': expected auto, bf16, fp16, fp32 or fp8", name);
  if (device.is_cuda()) return kernels::cuda_compute_capability(device.index()) >= 80 ? at::kBFloat16 : at::kHalf;
  return cpu_has_bf16() ? at::kBFloat16 : at::kFloat;
}

std::string dtype_to_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return "fp32";
    case at::kBFloat16: return "bf16";
    case at::kHalf: return "fp16";
    case at::kDouble: return "fp64";
    default: return at::toString(dtype);
  }
}

std::string device_title(at::Device device) {
  if (device.is_cuda()) return kernels::cuda_device_name(device.index());
  std::ifstream in("/proc/cpuinfo");
  std::string name = "CPU";
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) {
      name = line.substr(line.find(": ") + 2);
      break;
    }
  return fmt::format("{}, {} threads", name, at::get_num_threads());
}

std::string describe_machine() {
  std::string text = fmt::format("graft      {}\nLibTorch   {}\n", GRAFT_VERSION, TORCH_VERSION);
  text += fmt::format("CUDA       {}\n", kernels::built_with_cuda() ? "built in" : "not built in");
  const std::string fault = cuda_fault();
  for (int i = 0; fault.empty() && i < kernels::cuda_device_count(); ++i)
    text += fmt::format("GPU {}      {}\n", i, kernels::cuda_device_name(i));
  if (!fault.empty()) text += fmt::format("GPU        none usable: {}\n", fault);
  text += fmt::format("threads    {}\n", at::get_num_threads());
  text += fmt::format("processor  {}{}{}\n", __builtin_cpu_supports("avx2") ? "avx2 " : "", __builtin_cpu_supports("avx512f") ? "avx512 " : "",
                      cpu_has_bf16() ? "avx512_bf16" : "");
  text += fmt::format("dtype auto {}\n", dtype_to_name(dtype_from_name("auto", fault.empty() ? at::Device(at::kCUDA, 0) : at::kCPU)));
  return text;
}

namespace {

/// One that was never used knows of no device, until it is told.
at::DeviceAllocator& allocator_of(at::Device device) {
  at::globalContext().lazyInitDevice(device.type());
  return *at::getDeviceAllocator(device.type());
}

}  // namespace

DeviceMemory device_memory(at::Device device) {
  if (!device.is_cuda()) {
    const char *process = "/proc/self/status", *machine = "/proc/meminfo";
    const int64_t now = proc_bytes(process, "RssAnon:");
    return {proc_bytes(process, "VmHWM:"), now, proc_bytes(machine, "MemAvailable:"), proc_bytes(machine, "MemTotal:"), now};
  }
  const auto stats = allocator_of(device).getDeviceStats(device.index());
  const auto [free, total] = allocator_of(device).getMemoryInfo(device.index());
  return {stats.allocated_bytes[0].peak, stats.reserved_bytes[0].peak, static_cast<int64_t>(free), static_cast<int64_t>(total), stats.allocated_bytes[0].current};
}

void reset_peak_memory(at::Device device) {
  if (device.is_cuda()) allocator_of(device).resetPeakStats(device.index());
}

void release_memory(at::Device device) {
  if (device.is_cuda()) allocator_of(device).emptyCache();
}

Deterministic::Deterministic(bool wanted) : wanted_(wanted) {
  at::Context& context = at::globalContext();
  before_ = context.deterministicAlgorithms(), warn_only_before_ = context.deterministicAlgorithmsWarnOnly();
  fill_before_ = context.deterministicFillUninitializedMemory(), cudnn_before_ = context.userEnabledCuDNNSDP();
  if (!wanted_) return;
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 1);
  context.setDeterministicAlgorithms(true, /*warn_only=*/false);
  context.setDeterministicFillUninitializedMemory(false);   // a pass over memory for bugs that the tests look for
  context.setSDPUseCuDNN(false);
}

Deterministic::~Deterministic() {
  if (!wanted_) return;
  at::Context& context = at::globalContext();
  context.setDeterministicAlgorithms(before_, warn_only_before_);
  context.setDeterministicFillUninitializedMemory(fill_before_);
  context.setSDPUseCuDNN(cudnn_before_);
}

void synchronize(at::Device device) {
  if (device.is_cuda()) kernels::cuda_synchronize(device.index());
}

}  // namespace graft
