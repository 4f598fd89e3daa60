// Rearrangements of token rows: multiplication by a sparse matrix of rows, embedding gather, rotary positions, and a look at whether
// values are finite.
//
// Matrices are T, outputs are overwritten. Launch: one block of THREADS threads per output row, unless said.
#include "common.cuh"

constexpr int THREADS = 128;

// y[s * outputs + o] = start + sum over the terms t of row o, in their order, of weights[t] * x[s * inputs + rows[t]].
struct MixArguments {
  const void* x;         // [batch * inputs, columns]
  const int* offsets;    // [outputs + 1]: the terms of row o are offsets[o] .. offsets[o + 1]
  const int* rows;
  const float* weights;
  const void* constant;  // [outputs, columns], the same for every sequence, or null
  const void* onto;      // [batch * outputs, columns], may be y, or null
  void* y;               // [batch * outputs, columns]
  int inputs, outputs, columns;
};

template <typename T, int N>
__device__ void mix(const MixArguments& a) {
  const int sequence = blockIdx.x / a.outputs, o = blockIdx.x % a.outputs;
  const T* x = (const T*)a.x + (size_t)sequence * a.inputs * a.columns;
  const T* constant = a.constant ? (const T*)a.constant + (size_t)o * a.columns : nullptr;
  const T* onto = a.onto ? (const T*)a.onto + (size_t)blockIdx.x * a.columns : nullptr;
  T* y = (T*)a.y + (size_t)blockIdx.x * a.columns;
  const int first = a.offsets[o], last = a.offsets[o + 1];
  for (int i = threadIdx.x * N; i < a.columns; i += blockDim.x * N) {
    float sum[N] = {};
    auto add = [&](const T* p, float weight) {
      float v[N];
      load<N>(p, v);
#pragma unroll
      for (int e = 0; e < N; e++) sum[e] += weight * v[e];
    };
    if (constant) add(constant + i, 1.0f);
    if (onto) add(onto + i, 1.0f);
    for (int t = first; t < last; t++) add(x + (size_t)a.rows[t] * a.columns + i, a.weights[t]);
    store<N>(y + i, sum);
  }
}

// y[r] = table[ids[r]].
struct GatherArguments {
  const void* table;  // [.., columns]
  const int* ids;     // [rows], checked by the caller
  void* y;            // [rows, columns]
  int columns;
};

template <typename T>
__device__ void gather(const GatherArguments& a) {
  const T* row = (const T*)a.table + (size_t)a.ids[blockIdx.x] * a.columns;
  T* y = (T*)a.y + (size_t)blockIdx.x * a.columns;
  for (int i = threadIdx.x; i < a.columns; i += blockDim.x) y[i] = row[i];
}

// In place: pair (i, i + head_dim / 2) of every head turns by the row's cosine and sine, back with sign -1.
struct RopeArguments {
  void* x;              // [rows, columns]
  const float2* turns;  // [positions, head_dim / 2]: cosine and sine; row r stands at r % positions
  int columns, head_dim, positions;
  float sign;
};

template <typename T>
__device__ void rope(const RopeArguments& a) {
  T* x = (T*)a.x + (size_t)blockIdx.x * a.columns;
  const int half = a.head_dim / 2;
  const float2* turns = a.turns + (size_t)(blockIdx.x % a.positions) * half;
  for (int pair = threadIdx.x; pair < a.columns / 2; pair += blockDim.x) {
    const int low = pair / half * a.head_dim + pair % half, high = low + half;
    const float2 turn = turns[pair % half];
    const float u = to_float(x[low]), v = to_float(x[high]), sine = a.sign * turn.y;
    x[low] = from_float<T>(u * turn.x - v * sine);
    x[high] = from_float<T>(v * turn.x + u * sine);
  }
}

// y[r, h, c] = x[r, h, c] for c below both widths, 0 beyond x's: heads are widened with zeros or cut back.
struct RepadArguments {
  const void* x;  // [rows, heads * from]
  void* y;        // [rows, heads * to]
  int heads, from, to;
};

template <typename T>
__device__ void repad(const RepadArguments& a) {
  const T* x = (const T*)a.x + (size_t)blockIdx.x * a.heads * a.from;
  T* y = (T*)a.y + (size_t)blockIdx.x * a.heads * a.to;
  for (int i = threadIdx.x; i < a.heads * a.to; i += blockDim.x) {
    const int head = i / a.to, c = i % a.to;
    y[i] = c < a.from ? x[head * a.from + c] : from_float<T>(0.0f);
  }
}

// *found = 1 where an element is infinite or NaN; else it is left alone. Launch: one block of FINITE_THREADS threads per
// FINITE_ELEMENTS elements.
constexpr int FINITE_THREADS = 256, FINITE_ELEMENTS = 2048;
struct FiniteArguments {
  const void* x;
  int* found;
  long long count;
};

template <typename T>
__device__ void finite(const FiniteArguments& a) {
  const T* x = (const T*)a.x;
  const long long first = (long long)blockIdx.x * FINITE_ELEMENTS;
  for (long long i = first + threadIdx.x; i < first + FINITE_ELEMENTS && i < a.count; i += blockDim.x) {
    if (!(fabsf(to_float(x[i])) <= 3.4e38f)) *a.found = 1;
  }
}

// ----------------------------------------------------------------------------------------------------------------------------------

#define KERNELS(T)                                                                                      \
  extern "C" __global__ void __launch_bounds__(THREADS) mix_rows_##T(MixArguments a) {                  \
    if (a.columns % 8 == 0)                                                                             \
      mix<T, 8>(a);                                                                                     \
    else                                                                                                \
      mix<T, 1>(a);                                                                                     \
  }                                                                                                     \
  extern "C" __global__ void __launch_bounds__(THREADS) gather_##T(GatherArguments a) { gather<T>(a); } \
  extern "C" __global__ void __launch_bounds__(THREADS) rope_##T(RopeArguments a) { rope<T>(a); }       \
  extern "C" __global__ void __launch_bounds__(THREADS) repad_##T(RepadArguments a) { repad<T>(a); }    \
  extern "C" __global__ void __launch_bounds__(FINITE_THREADS) finite_##T(FiniteArguments a) { finite<T>(a); }
FOR_BOTH(KERNELS)
