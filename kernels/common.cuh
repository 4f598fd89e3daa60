// What every kernel file shares: the storage types, 16-byte packs, reductions, activation functions.
//
// Activations and weights are stored as T, bf16 or f16; arithmetic is f32. Matrices are row-major. Offsets are 64-bit.
//
// The program launches kernels with the structs named `..Arguments` and the `constexpr int` constants of all kernel files, which
// build/interface.rs translates to Rust: neither is stated anywhere else.
#pragma once
#include "ptx.cuh"

using bf16 = __nv_bfloat16;
using f16 = __half;

constexpr unsigned FULL_WARP = 0xffffffffu;
constexpr float LOG2_E = 1.4426950408889634f;

__device__ __forceinline__ int divide_up(int a, int b) { return (a + b - 1) / b; }

// MACRO(T) for both storage types; kernels are named after theirs: gemm_bf16, gemm_f16.
#define FOR_BOTH(MACRO) MACRO(bf16) MACRO(f16)

__device__ __forceinline__ float to_float(float v) { return v; }
__device__ __forceinline__ float to_float(bf16 v) { return __bfloat162float(v); }
__device__ __forceinline__ float to_float(f16 v) { return __half2float(v); }

// The nearest T; an f16 beyond the largest becomes infinite.
template <typename T>
__device__ __forceinline__ T from_float(float v);
template <>
__device__ __forceinline__ float from_float<float>(float v) { return v; }
template <>
__device__ __forceinline__ bf16 from_float<bf16>(float v) { return __float2bfloat16(v); }
template <>
__device__ __forceinline__ f16 from_float<f16>(float v) { return __float2half(v); }

// N neighbouring values, N = 8 or 1; eight are loaded and written 16 bytes at a time.
template <typename T, int N>
struct alignas(N * sizeof(T)) Pack {
  T v[N];
};
template <typename T>
using Pack8 = Pack<T, 8>;

template <typename T>
__device__ __forceinline__ Pack8<T> load8(const T* p) {
  uint4 bits = *reinterpret_cast<const uint4*>(p);
  Pack8<T> pack;
  memcpy(&pack, &bits, 16);
  return pack;
}
__device__ __forceinline__ Pack8<float> load8(const float* p) {
  const float4 low = *reinterpret_cast<const float4*>(p), high = *reinterpret_cast<const float4*>(p + 4);
  return {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
}

template <typename T>
__device__ __forceinline__ void store8(T* p, const Pack8<T>& pack) {
  uint4 bits;
  memcpy(&bits, &pack, 16);
  *reinterpret_cast<uint4*>(p) = bits;
}
__device__ __forceinline__ void store8(float* p, const Pack8<float>& pack) {
  *reinterpret_cast<float4*>(p) = make_float4(pack.v[0], pack.v[1], pack.v[2], pack.v[3]);
  *reinterpret_cast<float4*>(p + 4) = make_float4(pack.v[4], pack.v[5], pack.v[6], pack.v[7]);
}

// The N values at p.
template <int N, typename T>
__device__ __forceinline__ Pack<T, N> load_pack(const T* p) {
  static_assert(N == 8 || N == 1, "packs of eight, or single values");
  if constexpr (N == 8)
    return load8(p);
  else
    return {{*p}};
}

// The N values at p as f32.
template <int N, typename T>
__device__ __forceinline__ void load(const T* p, float (&v)[N]) {
  static_assert(N == 8 || N == 1, "packs of eight, or single values");
  if constexpr (N == 8) {
    const Pack8<T> pack = load8(p);
#pragma unroll
    for (int e = 0; e < 8; e++) v[e] = to_float(pack.v[e]);
  } else {
    v[0] = to_float(*p);
  }
}

// N f32 values rounded to T and written to p.
template <int N, typename T>
__device__ __forceinline__ void store(T* p, const float (&v)[N]) {
  static_assert(N == 8 || N == 1, "packs of eight, or single values");
  if constexpr (N == 8) {
    Pack8<T> pack;
#pragma unroll
    for (int e = 0; e < 8; e++) pack.v[e] = from_float<T>(v[e]);
    store8(p, pack);
  } else {
    *p = from_float<T>(v[0]);
  }
}

struct Sum {
  static __device__ __forceinline__ float neutral() { return 0.0f; }
  static __device__ __forceinline__ float combine(float a, float b) { return a + b; }
};

struct Max {
  static __device__ __forceinline__ float neutral() { return -INFINITY; }
  static __device__ __forceinline__ float combine(float a, float b) { return fmaxf(a, b); }
};

// Reduction over a warp; every lane gets it.
template <typename Operation>
__device__ __forceinline__ float warp_reduce(float v) {
#pragma unroll
  for (int offset = 16; offset; offset >>= 1) v = Operation::combine(v, __shfl_xor_sync(FULL_WARP, v, offset));
  return v;
}

// Reduction over a block of at most 1024 threads, a multiple of 32; every thread gets it. The order is fixed.
template <typename Operation>
__device__ __forceinline__ float block_reduce(float v) {
  SHARED(float, parts, [32]);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  v = warp_reduce<Operation>(v);
  __syncthreads();
  if (lane == 0) parts[warp] = v;
  __syncthreads();
  return warp_reduce<Operation>(lane < warps ? parts[lane] : Operation::neutral());
}

__device__ __forceinline__ float block_sum(float v) { return block_reduce<Sum>(v); }
__device__ __forceinline__ float block_max(float v) { return block_reduce<Max>(v); }

// Activation functions.
constexpr int GELU = 0, GELU_TANH = 1, QUICK_GELU = 2, SILU = 3, RELU = 4;

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + __expf(-x)); }

__device__ __forceinline__ float activate(int kind, float x) {
  switch (kind) {
    case GELU:
      return 0.5f * x * erfcf(-0.70710678f * x);
    case GELU_TANH:
      return x * sigmoid(1.5957691f * (x + 0.044715f * x * x * x));
    case QUICK_GELU:
      return x * sigmoid(1.702f * x);
    case RELU:
      return x < 0.0f ? 0.0f : x;
    default:
      return x * sigmoid(x);
  }
}

// f'(x).
__device__ __forceinline__ float activation_slope(int kind, float x) {
  switch (kind) {
    case GELU:
      return 0.5f * erfcf(-0.70710678f * x) + 0.39894228f * x * __expf(-0.5f * x * x);
    case GELU_TANH: {
      const float s = sigmoid(1.5957691f * (x + 0.044715f * x * x * x));
      return s + x * s * (1.0f - s) * 1.5957691f * (1.0f + 0.134145f * x * x);
    }
    case QUICK_GELU: {
      const float s = sigmoid(1.702f * x);
      return s + 1.702f * x * s * (1.0f - s);
    }
    case RELU:
      return x > 0.0f ? 1.0f : 0.0f;
    default: {
      const float s = sigmoid(x);
      return s + x * s * (1.0f - s);
    }
  }
}
