// Planted bugs of a cp.async pipeline, in a plain tensor-core product, with its correct twin:
// C [m, n] f32 = A [m, k] B [k, n], T row-major; m, n multiples of 64, k of 32. Grid (n / 64, m / 64), 128 threads: 2 x 2 warps.
#include "../../../../kernels/common.cuh"

namespace planted {
constexpr int ROWS = 64, COLUMNS = 64, DEPTH = 32, A_STRIDE = DEPTH + 8, B_STRIDE = COLUMNS + 8;
enum Bug { NONE, NO_TAIL_BARRIER, NO_WAIT };

template <typename T, Bug BUG>
__device__ void product(const T* a, const T* b, float* c, int n, int k) {
  SHARED(T, tile_a, [2][ROWS][A_STRIDE]);
  SHARED(T, tile_b, [2][DEPTH][B_STRIDE]);
  const int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5;
  const int row0 = blockIdx.y * ROWS, column0 = blockIdx.x * COLUMNS, warp_row = (warp >> 1) * 32, warp_column = (warp & 1) * 32;
  float sums[2][4][4] = {};
  auto fetch = [&](int stage, int k0) {
    for (int i = tid; i < ROWS * DEPTH / 8; i += 128) {
      const int r = i / (DEPTH / 8), at = i % (DEPTH / 8) * 8;
      cp_async16(&tile_a[stage][r][at], a + (size_t)(row0 + r) * k + k0 + at);
    }
    for (int i = tid; i < DEPTH * COLUMNS / 8; i += 128) {
      const int r = i / (COLUMNS / 8), at = i % (COLUMNS / 8) * 8;
      cp_async16(&tile_b[stage][r][at], b + (size_t)(k0 + r) * n + column0 + at);
    }
    cp_async_commit();
  };
  const int steps = k / DEPTH;
  fetch(0, 0);
  for (int step = 0; step < steps; step++) {
    if (step + 1 < steps) fetch((step + 1) & 1, (step + 1) * DEPTH);
    else cp_async_commit();
    if (BUG != NO_WAIT) cp_async_wait<1>();
    __syncthreads();
    const int stage = step & 1;
#pragma unroll
    for (int inner = 0; inner < DEPTH; inner += 16) {
      uint32_t left[2][4], right[2][4];
#pragma unroll
      for (int i = 0; i < 2; i++) ldmatrix_x4(left[i], &tile_a[stage][warp_row + i * 16 + (lane & 15)][inner + (lane >> 4) * 8]);
#pragma unroll
      for (int j = 0; j < 2; j++) ldmatrix_x4_trans(right[j], &tile_b[stage][inner + (lane & 15)][warp_column + j * 16 + (lane >> 4) * 8]);
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) mma_16816<T>(sums[i][j], left[i], right[j >> 1][(j & 1) * 2], right[j >> 1][(j & 1) * 2 + 1]);
    }
    if (BUG != NO_TAIL_BARRIER) __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const int r = row0 + warp_row + i * 16 + (lane >> 2), at = column0 + warp_column + j * 8 + (lane & 3) * 2;
      *reinterpret_cast<float2*>(c + (size_t)r * n + at) = make_float2(sums[i][j][0], sums[i][j][1]);
      *reinterpret_cast<float2*>(c + (size_t)(r + 8) * n + at) = make_float2(sums[i][j][2], sums[i][j][3]);
    }
}
}  // namespace planted

#define PLANTED_PRODUCT(NAME, T, BUG) \
  extern "C" __global__ void __launch_bounds__(128) NAME(const T* a, const T* b, float* c, int n, int k) { planted::product<T, BUG>(a, b, c, n, k); }
PLANTED_PRODUCT(planted_product_bf16, bf16, planted::NONE)
PLANTED_PRODUCT(planted_product_f16, f16, planted::NONE)
PLANTED_PRODUCT(planted_no_tail_barrier_bug, bf16, planted::NO_TAIL_BARRIER)
PLANTED_PRODUCT(planted_no_wait_bug, bf16, planted::NO_WAIT)

// y = x through shared memory, of which only the first `given` of 16 bytes are copied and the rest become zero; 128 threads.
extern "C" __global__ void planted_zero_fill(const uint4* x, uint4* y, int given) {
  SHARED(uint4, s, [128]);
  cp_async16(&s[threadIdx.x], x + threadIdx.x, given);
  cp_async_commit();
  cp_async_wait<0>();
  y[threadIdx.x] = s[threadIdx.x];
}
