// Activation functions and gates, element by element, and their vjps.
//
// All matrices are T with `count` elements in all; outputs are overwritten and may be the inputs they are made of.
// Launch: one block of THREADS threads for ELEMENTS elements; a thread takes 8 in one 16-byte access, the last ones singly.
#include "common.cuh"

constexpr int THREADS = 256, ELEMENTS = 8 * THREADS;

struct ActivationArguments {
  const void* x;     // activation: x; gate: gate
  const void* up;    // gate only
  const void* dy;    // vjp only
  void* out;         // y, dx or d_gate
  void* also;        // gate_vjp: d_up
  long long count;
  int kind;          // GELU, ..
};

template <typename T>
struct Activate {
  static __device__ __forceinline__ void apply(const ActivationArguments& a, float x, float, float, float& out, float&) {
    out = activate(a.kind, x);
  }
};
template <typename T>
struct ActivateVjp {
  static __device__ __forceinline__ void apply(const ActivationArguments& a, float x, float, float dy, float& out, float&) {
    out = dy * activation_slope(a.kind, x);
  }
};
template <typename T>
struct Gate {
  static __device__ __forceinline__ void apply(const ActivationArguments& a, float x, float up, float, float& out, float&) {
    out = activate(a.kind, x) * up;
  }
};
template <typename T>
struct GateVjp {
  static __device__ __forceinline__ void apply(const ActivationArguments& a, float x, float up, float dy, float& out, float& also) {
    out = dy * up * activation_slope(a.kind, x);
    also = dy * activate(a.kind, x);
  }
};

template <typename T, typename Operation>
__device__ void over_elements(const ActivationArguments& a) {
  const T *x = (const T*)a.x, *up = (const T*)a.up, *dy = (const T*)a.dy;
  T *out = (T*)a.out, *also = (T*)a.also;
  const long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 8;
  if (first + 8 <= a.count) {
    const Pack8<T> xs = load8(x + first);
    Pack8<T> ups = xs, dys = xs, outs, alsos = xs;
    if (up) ups = load8(up + first);
    if (dy) dys = load8(dy + first);
#pragma unroll
    for (int e = 0; e < 8; e++) {
      float o = 0.0f, s = 0.0f;
      Operation::apply(a, to_float(xs.v[e]), to_float(ups.v[e]), to_float(dys.v[e]), o, s);
      outs.v[e] = from_float<T>(o);
      alsos.v[e] = from_float<T>(s);
    }
    store8(out + first, outs);
    if (also) store8(also + first, alsos);
  } else {
    for (long long i = first; i < a.count; i++) {
      float o = 0.0f, s = 0.0f;
      Operation::apply(a, to_float(x[i]), up ? to_float(up[i]) : 0.0f, dy ? to_float(dy[i]) : 0.0f, o, s);
      out[i] = from_float<T>(o);
      if (also) also[i] = from_float<T>(s);
    }
  }
}

// ----------------------------------------------------------------------------------------------------------------------------------

#define KERNEL(NAME, OPERATION, T) \
  extern "C" __global__ void __launch_bounds__(THREADS, 4) NAME##_##T(ActivationArguments a) { over_elements<T, OPERATION<T>>(a); }
#define KERNELS(T)                       \
  KERNEL(activation, Activate, T)        \
  KERNEL(activation_vjp, ActivateVjp, T) \
  KERNEL(gate, Gate, T)                  \
  KERNEL(gate_vjp, GateVjp, T)
FOR_BOTH(KERNELS)
