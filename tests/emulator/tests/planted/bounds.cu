// Planted bugs of single accesses, each with its correct twin. One block of n threads unless said.
#include "../../../../kernels/common.cuh"

// y = 2 x over n elements, any grid: the bug's guard lets one thread too many in.
extern "C" __global__ void planted_past_the_end_bug(const float* x, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i <= n) y[i] = 2.0f * x[i];
}
extern "C" __global__ void planted_past_the_end(const float* x, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 2.0f * x[i];
}

// y[t] = t through dynamic shared memory of n ints: the bug uses one int more.
template <bool CORRECT>
__device__ void beyond_dynamic(int* y) {
  DYNAMIC_SHARED(int, s);
  const int at = CORRECT ? threadIdx.x : threadIdx.x + 1;
  s[at] = threadIdx.x;
  __syncthreads();
  y[threadIdx.x] = s[at];
}
extern "C" __global__ void planted_dynamic_shared_bug(int* y) { beyond_dynamic<false>(y); }
extern "C" __global__ void planted_dynamic_shared(int* y) { beyond_dynamic<true>(y); }

// y[t] = t through an array of 64 ints, launched with 64 threads: the bug uses one int more.
template <bool CORRECT>
__device__ void beyond_static(int* y) {
  SHARED(int, s, [64]);
  const int at = CORRECT ? threadIdx.x : threadIdx.x + 1;
  s[at] = threadIdx.x;
  __syncthreads();
  y[threadIdx.x] = s[at];
}
extern "C" __global__ void planted_static_shared_bug(int* y) { beyond_static<false>(y); }
extern "C" __global__ void planted_static_shared(int* y) { beyond_static<true>(y); }

// Copies 8 T per thread as one 16-byte access, starting `first` elements in; right where first is a multiple of 8.
extern "C" __global__ void planted_packs(const bf16* x, bf16* y, int first) {
  const Pack8<bf16> pack = load8(x + first + threadIdx.x * 8);
  store8(y + threadIdx.x * 8, pack);
}

// The same as whole uint4.
extern "C" __global__ void planted_quads(const bf16* x, bf16* y, int first) {
  reinterpret_cast<uint4*>(y)[threadIdx.x] = reinterpret_cast<const uint4*>(x + first)[threadIdx.x];
}

// y[0] = *x, where x comes hidden in a struct.
struct PlantedPointer {
  const int* x;
  int unused;
};
extern "C" __global__ void planted_hidden_pointer(PlantedPointer p, int* y) { y[0] = *p.x; }

// y[t] = t; at most 64 threads may run it.
extern "C" __global__ void __launch_bounds__(64) planted_bounded(int* y) { y[threadIdx.x] = threadIdx.x; }
