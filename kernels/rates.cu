// The rate of the tensor cores: products of registers with registers, and nothing beside them.
//
//   products_<dtype>: sums[w] = steps * (a b^T) for every warp w of the grid
//
// a, b [32, 16] T, row-major, 4-byte aligned; sums [4 * gridDim.x, 32, 32] f32, row-major, 8-byte aligned, overwritten. A warp
// holds both operands and its sums in registers and issues 8 independent mma_16816 per step: 2 * 32 * 32 * 16 operations.
// Operands of whole numbers have exact sums as long as every |steps * a b^T| stays below 2^22: what is written can be compared to
// the bit. Launch: any grid of THREADS threads. BLOCKS of them fit a multiprocessor: 32 warps with 8 sums each are more than the
// latency asks for.
#include "tile.cuh"

struct RatesArguments {
  const void* a;
  const void* b;
  float* sums;
  int steps;
};

constexpr int WARPS = 4, THREADS = 32 * WARPS, BLOCKS = 8;
// Rows and columns of the operands, and the former in fragments.
constexpr int SIDE = 32, DEPTH = 16, FRAGMENTS = SIDE / 16;

template <typename T>
__device__ __forceinline__ void products(const RatesArguments& g) {
  const int lane = threadIdx.x % 32, row = lane / 4, pair = lane % 4;
  // Pairs of elements: eight to a row.
  const uint32_t *left = (const uint32_t*)g.a, *right = (const uint32_t*)g.b;
  FragmentA a[FRAGMENTS];
  FragmentB b[FRAGMENTS];
#pragma unroll
  for (int i = 0; i < FRAGMENTS; i++)
#pragma unroll
    for (int e = 0; e < 4; e++) {
      a[i].r[e] = left[(i * 16 + row + e % 2 * 8) * 8 + pair + e / 2 * 4];
      b[i].r[e] = right[(i * 16 + row + e / 2 * 8) * 8 + pair + e % 2 * 4];
    }

  Accumulator sums[FRAGMENTS][2 * FRAGMENTS] = {};
#pragma unroll 1
  for (int step = 0; step < g.steps; step++)
#pragma unroll
    for (int i = 0; i < FRAGMENTS; i++)
#pragma unroll
      for (int j = 0; j < FRAGMENTS; j++) multiply<T>(sums[i][2 * j], sums[i][2 * j + 1], a[i], b[j]);

  float* out = g.sums + ((size_t)blockIdx.x * WARPS + threadIdx.x / 32) * SIDE * SIDE;
#pragma unroll
  for (int i = 0; i < FRAGMENTS; i++)
#pragma unroll
    for (int j = 0; j < 2 * FRAGMENTS; j++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const float2 sum = make_float2(sums[i][j][half * 2], sums[i][j][half * 2 + 1]);
        *reinterpret_cast<float2*>(out + (i * 16 + row + half * 8) * SIDE + j * 8 + pair * 2) = sum;
      }
}

#define PRODUCTS(T) \
  extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) products_##T(RatesArguments arguments) { products<T>(arguments); }
FOR_BOTH(PRODUCTS)
