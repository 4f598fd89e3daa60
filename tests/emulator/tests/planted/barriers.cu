// Planted bugs around barriers, each with its correct twin. Blocks of one dimension; n = blockDim.x.
#include "../../../../kernels/ptx.cuh"

// y = x reversed, through dynamic shared memory of n ints: the producer and the consumer of an element are different threads.
template <bool CORRECT>
__device__ void reverse(const int* x, int* y) {
  DYNAMIC_SHARED(int, s);
  const int t = threadIdx.x, n = blockDim.x;
  s[t] = x[t];
  if (CORRECT) __syncthreads();
  y[t] = s[n - 1 - t];
}
extern "C" __global__ void planted_reverse_bug(const int* x, int* y) { reverse<false>(x, y); }
extern "C" __global__ void planted_reverse(const int* x, int* y) { reverse<true>(x, y); }

// y[t] = 0 + 1 + ... + 9 for every thread: one thread writes a flag again while others may still read the last (write after read).
template <bool CORRECT>
__device__ void flags(int* y) {
  SHARED(int, flag);
  int sum = 0;
  for (int k = 0; k < 10; k++) {
    if (threadIdx.x == 0) flag = k;
    __syncthreads();
    sum += flag;
    if (CORRECT) __syncthreads();
  }
  y[threadIdx.x] = sum;
}
extern "C" __global__ void planted_write_after_read_bug(int* y) { flags<false>(y); }
extern "C" __global__ void planted_write_after_read(int* y) { flags<true>(y); }

// y[0] = sum of 256 values: the last five steps of the tree stay inside one warp, and trust it to run in step.
template <bool CORRECT>
__device__ void tree(const int* x, int* y) {
  SHARED(int, s, [256]);
  const int t = threadIdx.x;
  s[t] = x[t];
  __syncthreads();
  for (int o = 128; o >= 32; o >>= 1) {
    if (t < o) s[t] += s[t + o];
    __syncthreads();
  }
  if (t < 32)
    for (int o = 16; o; o >>= 1) {
      if (t < o) s[t] += s[t + o];
      if (CORRECT) __syncwarp();
    }
  if (t == 0) y[0] = s[0];
}
extern "C" __global__ void planted_warp_tree_bug(const int* x, int* y) { tree<false>(x, y); }
extern "C" __global__ void planted_warp_tree(const int* x, int* y) { tree<true>(x, y); }

// y[t] = t xor 16 within each warp: in the bug, half the threads wait at the barrier and the rest for the whole warp's shuffle.
extern "C" __global__ void planted_divergent_bug(int* y) {
  int v = threadIdx.x;
  if (threadIdx.x < 16) __syncthreads();
  else v = __shfl_xor_sync(0xffffffffu, v, 16);
  y[threadIdx.x] = v;
}
extern "C" __global__ void planted_divergent(int* y) {
  int v = threadIdx.x;
  __syncthreads();
  v = __shfl_xor_sync(0xffffffffu, v, 16);
  y[threadIdx.x] = v;
}

// y[t] = t: the two halves of the block meet at different barriers.
extern "C" __global__ void planted_two_barriers_bug(int* y) {
  if (threadIdx.x < blockDim.x / 2) {
    __syncthreads();
    y[threadIdx.x] = threadIdx.x;
  } else {
    y[threadIdx.x] = threadIdx.x;
    __syncthreads();
  }
}
extern "C" __global__ void planted_two_barriers(int* y) {
  y[threadIdx.x] = threadIdx.x;
  __syncthreads();
}

// y[0] = number of threads with x > 0; the bug reads the count while others still add.
template <bool CORRECT>
__device__ void tally(const int* x, int* y) {
  SHARED(int, count);
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  if (x[threadIdx.x] > 0) atomicAdd(&count, 1);
  if (CORRECT) __syncthreads();
  if (threadIdx.x == 0) y[0] = count;
}
extern "C" __global__ void planted_tally_bug(const int* x, int* y) { tally<false>(x, y); }
extern "C" __global__ void planted_tally(const int* x, int* y) { tally<true>(x, y); }
