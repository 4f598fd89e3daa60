// Columns put side by side and cut out again; columns times a gain, plus another matrix.
//
// Matrices are T. A thread takes 8 columns in one 16-byte access where the kernel's sizes are multiples of 8, else one column. Launch:
// blocks of THREADS threads over rows * count / (8 or 1), fewer than 2^31.
#include "common.cuh"

constexpr int THREADS = 256;

// y[r, to + i] = x[r, from + i] for i < count. All four sizes must be multiples of 8 for packs of 8.
struct CopyArguments {
  const void* x;  // [rows, x_columns]
  void* y;        // [rows, y_columns]
  int rows, x_columns, from, y_columns, to, count;
};

template <typename T, int N>
__device__ void copy_columns(const CopyArguments& a) {
  const unsigned packs = a.count / N, thread = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned row = thread / packs, i = thread % packs * N;
  if (row >= a.rows) return;
  const T* x = (const T*)a.x + (size_t)row * a.x_columns + a.from + i;
  T* y = (T*)a.y + (size_t)row * a.y_columns + a.to + i;
  if constexpr (N == 8)
    store8(y, load8(x));
  else
    *y = *x;
}

// y = x * gain + onto.
struct ScaleArguments {
  const void* x;     // [rows, count]
  const void* gain;  // [1, count], or null: 1
  const void* onto;  // [rows, count], or null: 0
  void* y;           // [rows, count], =; may be x or onto
  int rows, count;
};

template <typename T, int N>
__device__ void scale_columns(const ScaleArguments& a) {
  const unsigned packs = a.count / N, thread = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned row = thread / packs, i = thread % packs * N;
  if (row >= a.rows) return;
  const size_t at = (size_t)row * a.count + i;
  float v[N], gain[N], onto[N];
  load<N>((const T*)a.x + at, v);
  if (a.gain) {
    load<N>((const T*)a.gain + i, gain);
#pragma unroll
    for (int e = 0; e < N; e++) v[e] *= gain[e];
  }
  if (a.onto) {
    load<N>((const T*)a.onto + at, onto);
#pragma unroll
    for (int e = 0; e < N; e++) v[e] += onto[e];
  }
  store<N>((T*)a.y + at, v);
}

// ----------------------------------------------------------------------------------------------------------------------------------

#define KERNELS(T)                                                                            \
  extern "C" __global__ void __launch_bounds__(THREADS) copy_columns_##T(CopyArguments a) {   \
    if ((a.x_columns | a.from | a.y_columns | a.to | a.count) % 8 == 0)                       \
      copy_columns<T, 8>(a);                                                                  \
    else                                                                                      \
      copy_columns<T, 1>(a);                                                                  \
  }                                                                                           \
  extern "C" __global__ void __launch_bounds__(THREADS) scale_columns_##T(ScaleArguments a) { \
    if (a.count % 8 == 0)                                                                     \
      scale_columns<T, 8>(a);                                                                 \
    else                                                                                      \
      scale_columns<T, 1>(a);                                                                 \
  }
FOR_BOTH(KERNELS)
