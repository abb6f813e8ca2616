// decode_cpu.cpp's text for a GPU.
#include "codes.cuh"

namespace graft::kernels {
namespace {

/// The tables of a block: a 4-bit type's points, and the map of doubly quantised scales.
struct Tables {
  float points[16], map[256];
};
template <class C>
__device__ Decoder<C> make_decoder(Tables& shared, Constants& constants) {
  if ((std::is_same_v<C, Nf4> || std::is_same_v<C, Fp4>) && threadIdx.x < 16) shared.points[threadIdx.x] = device_points[std::is_same_v<C, Fp4>][threadIdx.x];
  if (constants.map) {
    for (int i = threadIdx.x; i < 256; i += threads) shared.map[i] = constants.map[i];
    constants.map = shared.map;
  }
  __syncthreads();
  return {std::is_same_v<C, Dynamic8> ? shared.map : shared.points};
}

struct DecodeJob {
  Packed packed;
  Destination to;
};
struct DecodeJobs {
  DecodeJob job[decode_limit];
};

constexpr int eights_a_lane = 4;                       // loads in flight
constexpr int chunk_eights = 32 * eights_a_lane;       // what a warp takes at a time: 1024 numbers

/// Rows and groups are multiples of eight, and codes and rows are aligned to what is read at once. A warp takes 1024 numbers in a row; where
/// groups are powers of two, each of their scales is worked out by one lane and handed round.
template <class C, class T>
__global__ void decode_eights_kernel(DecodeJobs jobs) {
  __shared__ Tables shared;
  const DecodeJob& job = jobs.job[blockIdx.y];
  Constants constants = job.packed.constants;
  const Decoder<C> decode = make_decoder<C>(shared, constants);
  const int64_t eights = job.packed.count / 8, groups = (job.packed.count + constants.group - 1) / constants.group;
  const bool dense = job.to.stride == job.packed.columns;
  const int shift = (constants.group & (constants.group - 1)) == 0 ? __ffsll(constants.group) - 1 : -1;
  const int lane = threadIdx.x % 32;
  using Codes = std::conditional_t<C::bits == 4, uint32_t, uint2>;
  for (int64_t first = (blockIdx.x * int64_t{threads / 32} + threadIdx.x / 32) * chunk_eights; first < eights;
       first += int64_t{gridDim.x} * (threads / 32) * chunk_eights) {
    Codes codes[eights_a_lane];
#pragma unroll
    for (int u = 0; u < eights_a_lane; ++u)
      if (first + 32 * u + lane < eights) codes[u] = __ldcs(reinterpret_cast<const Codes*>(job.packed.codes) + first + 32 * u + lane);
    float lane_scale = 0;
    int lane_zero = 0;
    if (shift >= 0) {
      const int64_t g = (first * 8 >> shift) + lane;
      if (g < groups && (lane << shift) < chunk_eights * 8) {
        lane_scale = group_scale(constants, g);
        lane_zero = constants.zero ? constants.zero[g] : 0;
      }
    }
#pragma unroll
    for (int u = 0; u < eights_a_lane; ++u) {
      const int64_t e = first + 32 * u + lane;
      const int holder = shift >= 0 ? ((32 * u + lane) * 8) >> shift : 0;
      float scale = __shfl_sync(0xffffffffu, lane_scale, holder);
      int zero = __shfl_sync(0xffffffffu, lane_zero, holder);
      if (e >= eights) continue;
      if (shift < 0) {
        const int64_t g = e * 8 / constants.group;
        scale = group_scale(constants, g);
        zero = constants.zero ? constants.zero[g] : 0;
      }
      Eight<T> out;
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        uint32_t code;
        if constexpr (C::bits == 4)
          code = codes[u] >> (8 * (k / 2) + (k % 2 ? 0 : 4)) & 15u;   // bytes in order, the high half first
        else
          code = (k < 4 ? codes[u].x : codes[u].y) >> (8 * (k % 4)) & 255u;
        put(out.values + k, decode(code, scale, zero));
      }
      int64_t at = e * 8;
      if (!dense) at = at / job.packed.columns * job.to.stride + at % job.packed.columns;
      *reinterpret_cast<Eight<T>*>(static_cast<T*>(job.to.out) + at) = out;
    }
  }
}

/// Any shape, one number a thread.
template <class C, class T>
__global__ void decode_kernel(DecodeJobs jobs) {
  __shared__ Tables shared;
  const DecodeJob& job = jobs.job[blockIdx.y];
  Constants constants = job.packed.constants;
  const Decoder<C> decode = make_decoder<C>(shared, constants);
  for (int64_t i = blockIdx.x * int64_t{threads} + threadIdx.x; i < job.packed.count; i += int64_t{gridDim.x} * threads) {
    const int64_t g = i / constants.group;
    uint32_t code = job.packed.codes[C::bits == 4 ? i / 2 : i];
    if (C::bits == 4) code = i % 2 ? code & 15 : code >> 4;
    put(static_cast<T*>(job.to.out) + i / job.packed.columns * job.to.stride + i % job.packed.columns,
        decode(code, group_scale(constants, g), constants.zero ? constants.zero[g] : 0));
  }
}

bool in_eights(const Packed& p, const Destination& to) {
  return p.columns % 8 == 0 && p.constants.group % 8 == 0 && to.stride % 8 == 0 && reinterpret_cast<uintptr_t>(to.out) % 32 == 0 &&
         reinterpret_cast<uintptr_t>(p.codes) % 8 == 0;
}

}  // namespace

void decode_cuda(const Packed* packed, const Destination* to, int tensors, Real type, void* stream) {
  DecodeJobs jobs;
  int64_t largest = 0;
  bool eights = true;
  for (int i = 0; i < tensors; ++i) {
    jobs.job[i] = {packed[i], to[i]};
    largest = packed[i].count > largest ? packed[i].count : largest;
    eights = eights && in_eights(packed[i], to[i]);
  }
  if (largest == 0) return;
  // Eights: enough blocks to fill any card a few times over; each then goes round, so that its tables are read once.
  const unsigned most = 4096u / static_cast<unsigned>(tensors), wanted = blocks_for(eights ? largest / 8 / eights_a_lane + 1 : largest);
  const dim3 grid(wanted < most || !eights ? wanted : most, static_cast<unsigned>(tensors));
  with_codec(packed[0].codec, [&](auto c) {
    with_cuda_real(type, [&](auto* t) {
      using C = decltype(c);
      using T = std::remove_pointer_t<decltype(t)>;
      if (eights)
        decode_eights_kernel<C, T><<<grid, threads, 0, static_cast<cudaStream_t>(stream)>>>(jobs);
      else
        decode_kernel<C, T><<<grid, threads, 0, static_cast<cudaStream_t>(stream)>>>(jobs);
    });
  });
  launched("dequantise kernel");
}

}  // namespace graft::kernels
