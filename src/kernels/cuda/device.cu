// Facts about the GPU, through the CUDA runtime alone.
#include <cuda_runtime.h>

#include <stdexcept>

#include "graft/kernels/api.h"

namespace graft::kernels {
namespace {
void ok(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(error));
}
std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }
}  // namespace

bool built_with_cuda() { return true; }

std::string cuda_fault() {
  int driver = 0, runtime = 0, count = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) return "no NVIDIA driver is loaded";
  ok(cudaRuntimeGetVersion(&runtime));
  if (driver / 1000 < runtime / 1000)
    return "the NVIDIA driver is too old: it serves CUDA " + version_text(driver) + ", this LibTorch needs CUDA " + version_text(runtime) +
           "; update the driver, or set LIBTORCH_DIR to a LibTorch built for CUDA " + std::to_string(driver / 1000) + ".x and rebuild";
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess)
    return std::string("no usable GPU: ") + cudaGetErrorString(error);
  return count > 0 ? "" : "no GPU is visible (CUDA_VISIBLE_DEVICES?)";
}

int cuda_device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

int cuda_compute_capability(int device) {
  int major = 0, minor = 0;
  ok(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  ok(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
  return 10 * major + minor;
}

std::string cuda_device_name(int device) {
  cudaDeviceProp properties;
  ok(cudaGetDeviceProperties(&properties, device));
  return std::string(properties.name) + " (sm_" + std::to_string(10 * properties.major + properties.minor) + ", " +
         std::to_string(properties.totalGlobalMem >> 20) + " MiB)";
}

void cuda_synchronize(int device) {
  ok(cudaSetDevice(device));
  ok(cudaDeviceSynchronize());
}

}  // namespace graft::kernels
