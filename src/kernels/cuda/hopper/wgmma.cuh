#pragma once
// A warpgroup's matrix products, m64n64k16, out of shared memory, and the tensor copies that bring their tiles (PTX ISA, "Asynchronous Warpgroup Level Matrix
// Instructions", "cp.async.bulk.tensor"); sm_90a alone.
#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace graft::kernels {

/// 64 rows of 64 numbers of 16 bits, their pieces of 16 bytes swizzled as tensor cores want rows of 128 bytes.
template <class T>
struct alignas(1024) SwizzledTile {
  T numbers[64 * 64];
  __device__ T* piece(int row, int i) { return numbers + row * 64 + (i ^ (row & 7)) * 8; }
};

/// A product's sums: of row 16 * warp + lane / 4 (+ 8 in the odd pairs) columns 8 i + lane % 4 * 2 and the next.
using ProductSums = float[32];

template <class T>
__device__ uint64_t tile_descriptor(const SwizzledTile<T>& tile) {
  const uint64_t address = static_cast<unsigned>(__cvta_generic_to_shared(&tile)) >> 4, eight_rows = 1024 >> 4, swizzle_of_128_bytes = 1;
  return address | eight_rows << 16 | eight_rows << 32 | swizzle_of_128_bytes << 62;
}
constexpr uint64_t next_columns = 16 * 2 >> 4, next_rows = 16 * 128 >> 4;   // from one of a product's four steps to the next, in a descriptor

#define GRAFT_SUMS(d)                                                                                                                             \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), \
      "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), \
      "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
#define GRAFT_SUMS_NAMES                                                                                                                          \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, " \
  "%30, %31}"

#define GRAFT_WGMMA(type, name)                                                                                                               \
  /* d (+)= a b^T, of tiles. */                                                                                                               \
  __device__ inline void step(ProductSums& d, uint64_t a, uint64_t b, int adds, type) {                                                       \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32." name "." name " " GRAFT_SUMS_NAMES    \
                 ", %32, %33, p, 1, 1, 0, 0;\n}\n" : GRAFT_SUMS(d) : "l"(a), "l"(b), "r"(adds));                                              \
  }                                                                                                                                           \
  /* d += a b, a in registers. */                                                                                                             \
  __device__ inline void step(ProductSums& d, const unsigned (&a)[4], uint64_t b, type) {                                                     \
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." name "." name " " GRAFT_SUMS_NAMES ", {%32, %33, %34, %35}, %36, 1, 1, 1, 1;" \
                 : GRAFT_SUMS(d) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                                                       \
  }
GRAFT_WGMMA(__nv_bfloat16, "bf16")
GRAFT_WGMMA(__half, "f16")
#undef GRAFT_WGMMA
#undef GRAFT_SUMS
#undef GRAFT_SUMS_NAMES

/// Tells when copies have come.
struct Arrivals {
  uint64_t barrier;
  __device__ unsigned address() { return static_cast<unsigned>(__cvta_generic_to_shared(&barrier)); }
  __device__ void begin() { asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(address()) : "memory"); }
  __device__ void expect(int bytes) { asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address()), "r"(bytes) : "memory"); }
  /// Until the copies of turn 0, 1, 0, .. are there.
  __device__ void await(int turn) {
    asm volatile("{\n.reg .pred there;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 there, [%0], %1;\n@!there bra again;\n}\n" ::"r"(address()), "r"(turn) : "memory");
  }
};
/// By one thread, before it asks for copies; others may await them behind a barrier of the block.
template <int count>
__device__ void begin_all(Arrivals (&all)[count]) {
  for (Arrivals& one : all) one.begin();
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// By one thread: rows from `row` on, 64 columns from `column` on, of a matrix; zeros behind its end.
template <class T>
__device__ void copy_tile(SwizzledTile<T>& to, const CUtensorMap& from, int column, int row, Arrivals& tells) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
                   static_cast<unsigned>(__cvta_generic_to_shared(&to))),
               "l"(&from), "r"(column), "r"(row), "r"(tells.address())
               : "memory");
}

__device__ inline void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int pending>
__device__ void await_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}
/// Nothing that uses these sums moves past here.
__device__ inline void hold(ProductSums& d) {
#pragma unroll
  for (float& x : d) asm volatile("" : "+f"(x)::"memory");
}

/// d = a b^T, or d += a b^T: [64, 64], of [64, 64] each.
template <class T>
__device__ void begin_product(ProductSums& d, const SwizzledTile<T>& a, const SwizzledTile<T>& b, bool adds) {
  const uint64_t from_a = tile_descriptor(a), from_b = tile_descriptor(b);
#pragma unroll
  for (int i = 0; i < 4; ++i) step(d, from_a + i * next_columns, from_b + i * next_columns, adds || i > 0, T());
}
/// d += a b, of a's pairs as a product's sums lie.
template <class T>
__device__ void begin_product(ProductSums& d, const unsigned (&a)[16], const SwizzledTile<T>& b) {
  const uint64_t from_b = tile_descriptor(b);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const unsigned part[4] = {a[4 * i], a[4 * i + 1], a[4 * i + 2], a[4 * i + 3]};
    step(d, part, from_b + i * next_rows, T());
  }
}

}  // namespace graft::kernels
