// quantize_cpu.cpp's texts for a GPU; compiled without FMA contraction, so that the bytes are the same.
#include <type_traits>

#include "../codecs.h"
#include "reals.cuh"

namespace graft::kernels {
namespace {

constexpr int threads = 256;

unsigned blocks_for(int64_t work) {
  const int64_t blocks = (work + threads - 1) / threads, limit = int64_t{1} << 20;
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks < limit ? blocks : limit);
}

// --- Encoding: one thread a byte of codes -------------------------------------------------------------------------------------
struct Dynamic8 {
  static constexpr int bits = 8;
  static __device__ float inverse(float scale) { return reciprocal(scale); }
};

template <class C, class T>
__device__ uint8_t code_of(const T* x, int64_t i, const Constants& constants) {
  const int64_t g = i / constants.group;
  const float scale = constants.scale[g];
  const GroupScale group{scale, C::inverse(scale), constants.zero ? constants.zero[g] : 0};
  if constexpr (std::is_same_v<C, Dynamic8>)
    return encode_dynamic(constants.map, load(x[i]) * group.inverse);
  else
    return C::encode(load(x[i]), group);
}

template <class C, class T>
__global__ void encode_kernel(const T* x, int64_t count, Constants constants, uint8_t* codes) {
  const int64_t bytes = C::bits == 4 ? (count + 1) / 2 : count;
  for (int64_t b = blockIdx.x * int64_t{threads} + threadIdx.x; b < bytes; b += int64_t{gridDim.x} * threads) {
    if constexpr (C::bits == 8) {
      codes[b] = code_of<C>(x, b, constants);
    } else {
      uint8_t low;
      if (2 * b + 1 < count) {
        low = code_of<C>(x, 2 * b + 1, constants);
      } else {   // the code of zero pads
        const int64_t g = 2 * b / constants.group;
        low = C::encode(0.0f, {constants.scale[g], C::inverse(constants.scale[g]), constants.zero ? constants.zero[g] : 0});
      }
      codes[b] = static_cast<uint8_t>(code_of<C>(x, 2 * b, constants) << 4 | low);
    }
  }
}

template <class F>
void with_codec(Codec codec, F&& f) {
  switch (codec) {
    case Codec::nf4: return f(Nf4{});
    case Codec::fp4: return f(Fp4{});
    case Codec::int8_absmax: return f(Int8Absmax{});
    case Codec::int8_zero_point: return f(Int8ZeroPoint{});
    case Codec::int4_affine: return f(Int4Affine{});
    case Codec::fp8: return f(Fp8{});
    case Codec::dynamic8: return f(Dynamic8{});
  }
}

// --- Decoding -----------------------------------------------------------------------------------------------------------------
__constant__ float device_points[2][16] = {{GRAFT_NF4_POINTS}, {GRAFT_FP4_POINTS}};

/// What codes stand for; 4-bit types look their points up in shared memory (16 floats: no two codes share a bank).
template <class C>
struct Decoder {
  const float* points;
  __device__ float operator()(uint32_t code, float scale, int zero) const {
    if constexpr (std::is_same_v<C, Nf4> || std::is_same_v<C, Fp4>)
      return points[code] * scale;
    else if constexpr (std::is_same_v<C, Dynamic8>)
      return points[code] * scale;
    else
      return C::decode(static_cast<uint8_t>(code), scale, zero);
  }
};

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

template <class T>
struct alignas(sizeof(T) * 8) Eight {
  T values[8];
};
template <>
struct alignas(16) Eight<float> {   // two accesses of 16 bytes
  float values[8];
};

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

// --- One row of a product ------------------------------------------------------------------------------------------------------
__device__ float warp_sum(float x) {
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

/// A warp two outputs, so that what it reads of x serves both: each lane takes 32 numbers of a row (16 bytes of codes, one group's) a step.
template <class C, class T>
__global__ void matvec_kernel(Packed packed, const T* x, T* y) {
  constexpr int outputs = 2, unroll = 2;   // four loads of codes in flight
  __shared__ float points[16];
  if ((std::is_same_v<C, Nf4> || std::is_same_v<C, Fp4>) && threadIdx.x < 16) points[threadIdx.x] = device_points[std::is_same_v<C, Fp4>][threadIdx.x];
  __syncthreads();
  const Decoder<C> decode{points};
  const Constants& constants = packed.constants;
  const int64_t rows = packed.count / packed.columns, columns = packed.columns;
  const int64_t first_row = (blockIdx.x * int64_t{threads / 32} + threadIdx.x / 32) * outputs;
  if (first_row >= rows) return;
  const int64_t last_row = first_row + 1 < rows ? first_row + 1 : first_row;   // an odd last row is taken twice
  const int64_t starts[outputs] = {first_row * columns, last_row * columns};
  const int shift = (constants.group & (constants.group - 1)) == 0 ? __ffsll(constants.group) - 1 : -1;
  x += blockIdx.y * columns;
  const int lane = threadIdx.x % 32;
  float sums[outputs] = {};
  for (int64_t first = lane * 32; first < columns; first += unroll * 32 * 32) {
    uint4 codes[unroll][outputs];
    float scale[unroll][outputs];
    int zero[unroll][outputs];
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const int64_t c = first + u * 32 * 32;
      if (c >= columns) continue;
#pragma unroll
      for (int r = 0; r < outputs; ++r) codes[u][r] = __ldcs(reinterpret_cast<const uint4*>(packed.codes + (starts[r] + c) / 2));
#pragma unroll
      for (int r = 0; r < outputs; ++r) {
        const int64_t g = shift >= 0 ? (starts[r] + c) >> shift : (starts[r] + c) / constants.group;
        scale[u][r] = group_scale(constants, g);
        zero[u][r] = constants.zero ? constants.zero[g] : 0;
      }
    }
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const int64_t c = first + u * 32 * 32;
      if (c >= columns) continue;
      float parts[outputs] = {};
#pragma unroll
      for (int w = 0; w < 4; ++w) {
        const Eight<T> values = *reinterpret_cast<const Eight<T>*>(x + c + 8 * w);
#pragma unroll
        for (int k = 0; k < 8; ++k) {
          const float v = load(values.values[k]);
#pragma unroll
          for (int r = 0; r < outputs; ++r) {
            const uint32_t word = w == 0 ? codes[u][r].x : w == 1 ? codes[u][r].y : w == 2 ? codes[u][r].z : codes[u][r].w;
            parts[r] = fmaf(decode(word >> (8 * (k / 2) + (k % 2 ? 0 : 4)) & 15u, 1.0f, zero[u][r]), v, parts[r]);
          }
        }
      }
#pragma unroll
      for (int r = 0; r < outputs; ++r) sums[r] = fmaf(parts[r], scale[u][r], sums[r]);
    }
  }
#pragma unroll
  for (int r = 0; r < outputs; ++r) {
    const float sum = warp_sum(sums[r]);
    if (lane == 0) put(y + blockIdx.y * rows + (r == 0 ? first_row : last_row), sum);
  }
}

}  // namespace

void encode_cuda(Codec codec, const void* x, Real type, int64_t count, const Constants& constants, uint8_t* codes, void* stream) {
  if (count == 0) return;
  with_codec(codec, [&](auto c) {
    with_cuda_real(type, [&](auto* t) {
      using T = std::remove_pointer_t<decltype(t)>;
      encode_kernel<decltype(c), T><<<blocks_for(count), threads, 0, static_cast<cudaStream_t>(stream)>>>(static_cast<const T*>(x), count,
                                                                                                         constants, codes);
    });
  });
  launched("quantise kernel");
}

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

void matvec_cuda(const Packed& packed, const void* x, void* y, Real type, int64_t vectors, void* stream) {
  const int64_t rows = packed.count / packed.columns;
  if (rows == 0 || vectors == 0) return;
  const int64_t rows_a_block = 2 * (threads / 32);
  const dim3 grid(static_cast<unsigned>((rows + rows_a_block - 1) / rows_a_block), static_cast<unsigned>(vectors));
  with_codec(packed.codec, [&](auto c) {
    using C = decltype(c);
    if constexpr (C::bits == 4)
      with_cuda_real(type, [&](auto* t) {
        using T = std::remove_pointer_t<decltype(t)>;
        matvec_kernel<C, T><<<grid, threads, 0, static_cast<cudaStream_t>(stream)>>>(packed, static_cast<const T*>(x), static_cast<T*>(y));
      });
  });
  launched("matrix-vector kernel");
}

}  // namespace graft::kernels
