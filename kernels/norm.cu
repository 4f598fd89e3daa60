// Layer normalisation and root-mean-square normalisation over columns, and their vjps.
//
// x, y, dy, dx, onto [rows, columns] T; gain, bias [1, columns] T. Outputs are overwritten; `onto`, where given, is added. dx may be
// dy or onto. Statistics are f32: mean and reciprocal standard deviation [rows, 2], or the reciprocal root mean square [rows, 1].
// Launch: one block of THREADS threads per row. Rows of a multiple of 8 columns are read and written 16 bytes at a time.
#include "common.cuh"

constexpr int THREADS = 128;

struct NormArguments {
  const void* x;
  const void* gain;
  const void* bias;  // layer_norm only
  float* statistics;
  const void* dy;    // vjp only
  const void* onto;  // vjp only, may be null
  void* out;         // y or dx
  int columns;
  float eps;
};

// Calls f(index, N) for every chunk of N columns that is this thread's.
template <int N, typename F>
__device__ __forceinline__ void over_columns(int columns, F f) {
  for (int i = threadIdx.x * N; i < columns; i += blockDim.x * N) f(i);
}

// v += onto's N columns from i on, where there is one.
template <int N, typename T>
__device__ __forceinline__ void add(const T* onto, int i, float (&v)[N]) {
  if (!onto) return;
  float o[N];
  load<N>(onto + i, o);
  for (int e = 0; e < N; e++) v[e] += o[e];
}

template <typename T, int N>
__device__ void layer_norm(const NormArguments& a) {
  const size_t row = (size_t)blockIdx.x * a.columns;
  const T *x = (const T*)a.x + row, *gain = (const T*)a.gain, *bias = (const T*)a.bias;
  T* y = (T*)a.out + row;
  float sum = 0.0f, v[N], g[N], b[N];
  over_columns<N>(a.columns, [&](int i) {
    load<N>(x + i, v);
    for (int e = 0; e < N; e++) sum += v[e];
  });
  const float mean = block_sum(sum) / a.columns;
  float square = 0.0f;
  over_columns<N>(a.columns, [&](int i) {
    load<N>(x + i, v);
    for (int e = 0; e < N; e++) square += (v[e] - mean) * (v[e] - mean);
  });
  const float scale = rsqrtf(block_sum(square) / a.columns + a.eps);
  over_columns<N>(a.columns, [&](int i) {
    load<N>(x + i, v);
    load<N>(gain + i, g);
    load<N>(bias + i, b);
    for (int e = 0; e < N; e++) v[e] = (v[e] - mean) * scale * g[e] + b[e];
    store<N>(y + i, v);
  });
  if (threadIdx.x == 0) {
    a.statistics[2 * blockIdx.x] = mean;
    a.statistics[2 * blockIdx.x + 1] = scale;
  }
}

// With g = dy * gain and h = (x - mean) * scale: dx = scale * (g - mean(g) - h * mean(g * h)) + onto.
template <typename T, int N>
__device__ void layer_norm_vjp(const NormArguments& a) {
  const size_t row = (size_t)blockIdx.x * a.columns;
  const T *x = (const T*)a.x + row, *dy = (const T*)a.dy + row, *gain = (const T*)a.gain;
  const T* onto = a.onto ? (const T*)a.onto + row : nullptr;
  T* dx = (T*)a.out + row;
  const float mean = a.statistics[2 * blockIdx.x], scale = a.statistics[2 * blockIdx.x + 1];
  float sum = 0.0f, inner = 0.0f, v[N], d[N], g[N];
  over_columns<N>(a.columns, [&](int i) {
    load<N>(x + i, v);
    load<N>(dy + i, d);
    load<N>(gain + i, g);
    for (int e = 0; e < N; e++) {
      sum += d[e] * g[e];
      inner += d[e] * g[e] * (v[e] - mean) * scale;
    }
  });
  sum = block_sum(sum) / a.columns;
  inner = block_sum(inner) / a.columns;
  over_columns<N>(a.columns, [&](int i) {
    load<N>(x + i, v);
    load<N>(dy + i, d);
    load<N>(gain + i, g);
    for (int e = 0; e < N; e++) v[e] = scale * (d[e] * g[e] - sum - (v[e] - mean) * scale * inner);
    add<N>(onto, i, v);
    store<N>(dx + i, v);
  });
}

template <typename T, int N>
__device__ void rms_norm(const NormArguments& a) {
  const size_t row = (size_t)blockIdx.x * a.columns;
  const T *x = (const T*)a.x + row, *gain = (const T*)a.gain;
  T* y = (T*)a.out + row;
  float square = 0.0f, v[N], g[N];
  over_columns<N>(a.columns, [&](int i) {
    load<N>(x + i, v);
    for (int e = 0; e < N; e++) square += v[e] * v[e];
  });
  const float scale = rsqrtf(block_sum(square) / a.columns + a.eps);
  over_columns<N>(a.columns, [&](int i) {
    load<N>(x + i, v);
    load<N>(gain + i, g);
    for (int e = 0; e < N; e++) v[e] = v[e] * scale * g[e];
    store<N>(y + i, v);
  });
  if (threadIdx.x == 0) a.statistics[blockIdx.x] = scale;
}

// With g = dy * gain and h = x * scale: dx = scale * (g - h * mean(g * h)) + onto.
template <typename T, int N>
__device__ void rms_norm_vjp(const NormArguments& a) {
  const size_t row = (size_t)blockIdx.x * a.columns;
  const T *x = (const T*)a.x + row, *dy = (const T*)a.dy + row, *gain = (const T*)a.gain;
  const T* onto = a.onto ? (const T*)a.onto + row : nullptr;
  T* dx = (T*)a.out + row;
  const float scale = a.statistics[blockIdx.x];
  float inner = 0.0f, v[N], d[N], g[N];
  over_columns<N>(a.columns, [&](int i) {
    load<N>(x + i, v);
    load<N>(dy + i, d);
    load<N>(gain + i, g);
    for (int e = 0; e < N; e++) inner += d[e] * g[e] * v[e] * scale;
  });
  inner = block_sum(inner) / a.columns;
  over_columns<N>(a.columns, [&](int i) {
    load<N>(x + i, v);
    load<N>(dy + i, d);
    load<N>(gain + i, g);
    for (int e = 0; e < N; e++) v[e] = scale * (d[e] * g[e] - v[e] * scale * inner);
    add<N>(onto, i, v);
    store<N>(dx + i, v);
  });
}

// ----------------------------------------------------------------------------------------------------------------------------------

#define KERNEL(NAME, T)                                                               \
  extern "C" __global__ void __launch_bounds__(THREADS) NAME##_##T(NormArguments a) { \
    if (a.columns % 8 == 0)                                                           \
      NAME<T, 8>(a);                                                                  \
    else                                                                              \
      NAME<T, 1>(a);                                                                  \
  }
#define KERNELS(T) KERNEL(layer_norm, T) KERNEL(layer_norm_vjp, T) KERNEL(rms_norm, T) KERNEL(rms_norm_vjp, T)
FOR_BOTH(KERNELS)
