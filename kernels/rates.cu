// The rate of the tensor cores: products of registers with registers, and nothing beside them.
//
//   products_<dtype>: sums[w] = steps * (a b^T) for every warp w of the grid
//
// a, b [32, 16] T, row-major, 4-byte aligned; sums [4 * gridDim.x, 32, 32] f32, row-major, 8-byte aligned, overwritten. A warp
// holds both operands and its sums in registers and issues 8 independent mma_16816 per step: 2 * 32 * 32 * 16 operations.
// Operands of whole numbers have exact sums as long as every |steps * a b^T| stays below 2^22: what is written can be compared to
// the bit. Launch: any grid of 128 threads. Eight blocks fit a multiprocessor: 32 warps with 8 sums each are more than the latency
// asks for.
#include "common.cuh"

struct RatesArguments {
  const void* a;
  const void* b;
  float* sums;
  int steps;
};

// Operands in 16 x 8 x 16 products.
constexpr int M_TILES = 2, N_TILES = 4;

template <typename T>
__device__ __forceinline__ void products(const RatesArguments& g) {
  const int lane = threadIdx.x % 32, row = lane / 4, pair = lane % 4;
  // Pairs of elements: eight to a row.
  const uint32_t *left = (const uint32_t*)g.a, *right = (const uint32_t*)g.b;
  uint32_t a[M_TILES][4], b[N_TILES][2];
#pragma unroll
  for (int i = 0; i < M_TILES; i++)
#pragma unroll
    for (int e = 0; e < 4; e++) a[i][e] = left[(i * 16 + row + e % 2 * 8) * 8 + pair + e / 2 * 4];
#pragma unroll
  for (int j = 0; j < N_TILES; j++)
#pragma unroll
    for (int e = 0; e < 2; e++) b[j][e] = right[(j * 8 + row) * 8 + pair + e * 4];

  float sums[M_TILES][N_TILES][4] = {};
#pragma unroll 1
  for (int step = 0; step < g.steps; step++)
#pragma unroll
    for (int i = 0; i < M_TILES; i++)
#pragma unroll
      for (int j = 0; j < N_TILES; j++) mma_16816<T>(sums[i][j], a[i], b[j][0], b[j][1]);

  float* out = g.sums + ((size_t)blockIdx.x * 4 + threadIdx.x / 32) * 32 * 32;
#pragma unroll
  for (int i = 0; i < M_TILES; i++)
#pragma unroll
    for (int j = 0; j < N_TILES; j++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const float* v = sums[i][j] + half * 2;
        *reinterpret_cast<float2*>(out + (i * 16 + row + half * 8) * 32 + j * 8 + pair * 2) = make_float2(v[0], v[1]);
      }
}

#define PRODUCTS(T) \
  extern "C" __global__ void __launch_bounds__(128, 8) products_##T(RatesArguments arguments) { products<T>(arguments); }
FOR_BOTH(PRODUCTS)
