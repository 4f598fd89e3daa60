// Attention with one query per sequence, over the few keys of its window, forward and vjp, for heads of any size.
//
//   window_<team>_<T>(WindowArguments)       out =, lse =      a team per sequence and query head
//   window_vjp_<team>_<T>(WindowArguments)   dq =, dk =, dv =  a team per sequence and key-value head
//
// Query head h reads key-value head h / (heads / kv_heads). Every query must see a key. Sums and probabilities are f32; a sequence's
// result depends on nothing else of the batch. With N = 8 where d is a multiple of 8, read 16 bytes at a time, and else N = 1:
//
//   team      for d / N       threads of a team    lanes that share a key
//   narrow    up to NARROW    WARP                 8
//   wide      up to WIDE      WARP                 32
//   block     beyond          THREADS              32
//
// Launch: ceil(teams / teams per block) blocks of THREADS threads. Dynamic shared memory per team: keys floats, and for the vjp
// 2 * (heads / kv_heads) * keys.
#include "common.cuh"

struct WindowArguments {
  const void* q;              // T [batch, heads * d]
  const void *k, *v;          // T [batch * keys, kv_heads * d]
  const unsigned char* seen;  // [period, keys]: whether sequence s sees a key, at s % period; null: all are seen
  void* out;                  // T [batch, heads * d]
  float* lse;                 // [batch, heads]: natural log-sum-exp of the scaled scores
  const void* dy;             // vjp: T, of q's shape
  void *dq, *dk, *dv;         // vjp: T, of the shapes of q, k, v
  int batch, keys, heads, kv_heads, d, period;
  float scale;                // on the scores
};

constexpr int THREADS = 128, WARP = 32;
constexpr int NARROW = 8, WIDE = 32;

template <int TEAM>
__device__ __forceinline__ void team_sync() {
  if constexpr (TEAM == WARP)
    __syncwarp();
  else
    __syncthreads();
}

// The inner product of two rows of d values, of which this is lane `lane` of LANES; all of them get it. Every thread of a warp calls it.
template <int LANES, int N, typename T>
__device__ __forceinline__ float inner(const T* a, const T* b, int d, int lane) {
  float sum = 0.0f;
  for (int c = lane * N; c < d; c += LANES * N) {
    float x[N], y[N];
    load<N>(a + c, x);
    load<N>(b + c, y);
#pragma unroll
    for (int e = 0; e < N; e++) sum += x[e] * y[e];
  }
#pragma unroll
  for (int offset = LANES / 2; offset; offset >>= 1) sum += __shfl_xor_sync(FULL_WARP, sum, offset);
  return sum;
}

// Where the rows of one sequence and one key-value head are, and what its query sees.
template <typename T>
struct Window {
  const T *k, *v;
  size_t first, stride;  // of key 0's row in k, v, dk and dv; from key to key
  const unsigned char* seen;

  __device__ __forceinline__ Window(const WindowArguments& a, int sequence, int kv_head) {
    stride = (size_t)a.kv_heads * a.d;
    first = (size_t)sequence * a.keys * stride + (size_t)kv_head * a.d;
    k = (const T*)a.k + first;
    v = (const T*)a.v + first;
    seen = a.seen ? a.seen + (size_t)(sequence % a.period) * a.keys : nullptr;
  }
  __device__ __forceinline__ bool sees(int key) const { return !seen || seen[key]; }
};

// out[c] = sum over the keys of weights[key] * rows[key * stride + c]. Threads that share columns take the keys in turns and add up in
// a fixed order.
template <int TEAM, int LANES, int N, typename T>
__device__ __forceinline__ void weighted_sum(const float* weights, const T* rows, size_t stride, int keys, int d, T* out) {
  constexpr int ACROSS = TEAM == WARP ? LANES : TEAM, GROUPS = TEAM / ACROSS;
  const int thread = threadIdx.x % TEAM, lane = thread % ACROSS, group = thread / ACROSS;
  for (int first = 0; first < d; first += ACROSS * N) {
    const int c = first + lane * N;
    float sum[N] = {};
    if (c < d) {
#pragma unroll 4
      for (int key = group; key < keys; key += GROUPS) {
        float v[N];
        load<N>(rows + key * stride + c, v);
#pragma unroll
        for (int e = 0; e < N; e++) sum[e] += weights[key] * v[e];
      }
    }
    if constexpr (GROUPS > 1) {
#pragma unroll
      for (int offset = ACROSS; offset < 32; offset *= 2)
#pragma unroll
        for (int e = 0; e < N; e++) sum[e] += __shfl_xor_sync(FULL_WARP, sum[e], offset);
    }
    if (c < d && group == 0) store<N>(out + c, sum);
  }
}

template <typename T, int TEAM, int LANES, int N>
__device__ void window(const WindowArguments& a) {
  DYNAMIC_SHARED(float, all);
  constexpr int TEAMS = THREADS / TEAM, GROUPS = TEAM / LANES;
  const int team = threadIdx.x / TEAM, thread = threadIdx.x % TEAM;
  const int row = blockIdx.x * TEAMS + team;  // of [batch, heads]
  if (row >= a.batch * a.heads) return;
  const int head = row % a.heads;
  const Window<T> w(a, row / a.heads, head / (a.heads / a.kv_heads));
  const T* q = (const T*)a.q + (size_t)row * a.d;
  float* scores = all + team * a.keys;

  for (int first = 0; first < a.keys; first += GROUPS) {
    const int key = first + thread / LANES;
    const float score = inner<LANES, N>(q, w.k + min(key, a.keys - 1) * w.stride, a.d, thread % LANES);
    if (thread % LANES == 0 && key < a.keys) scores[key] = w.sees(key) ? score * a.scale : -INFINITY;
  }
  team_sync<TEAM>();
  // Every warp looks at all scores.
  const int lane = threadIdx.x & 31;
  float top = -INFINITY, sum = 0.0f;
  for (int key = lane; key < a.keys; key += 32) top = fmaxf(top, scores[key]);
  top = warp_reduce<Max>(top);
  for (int key = lane; key < a.keys; key += 32) sum += exp2f((scores[key] - top) * LOG2_E);
  sum = warp_reduce<Sum>(sum);
  team_sync<TEAM>();
  for (int key = thread; key < a.keys; key += TEAM) scores[key] = exp2f((scores[key] - top) * LOG2_E) / sum;
  if (thread == 0) a.lse[row] = top + logf(sum);
  team_sync<TEAM>();
  weighted_sum<TEAM, LANES, N>(scores, w.v, w.stride, a.keys, a.d, (T*)a.out + (size_t)row * a.d);
}

// With P = exp(scores - lse) and dS = scale * P * (dy . v - dy . out): dq = dS k, and summed over the query heads that read the
// key-value head, in their order, dk = dS q and dv = P dy.
template <typename T, int TEAM, int LANES, int N>
__device__ void window_vjp(const WindowArguments& a) {
  DYNAMIC_SHARED(float, all);
  constexpr int TEAMS = THREADS / TEAM, GROUPS = TEAM / LANES;
  const int team = threadIdx.x / TEAM, thread = threadIdx.x % TEAM;
  const int pair = blockIdx.x * TEAMS + team;  // of [batch, kv_heads]
  if (pair >= a.batch * a.kv_heads) return;
  const int group = a.heads / a.kv_heads;
  const Window<T> w(a, pair / a.kv_heads, pair % a.kv_heads);
  // The query heads of a key-value head are neighbours, so rows of [batch, heads] go on from pair to pair.
  const size_t row = (size_t)pair * group;
  const T *q = (const T*)a.q + row * a.d, *out = (const T*)a.out + row * a.d, *dy = (const T*)a.dy + row * a.d;
  float *p = all + team * 2 * group * a.keys, *ds = p + group * a.keys;

  for (int h = 0; h < group; h++) {
    const T *q_h = q + (size_t)h * a.d, *dy_h = dy + (size_t)h * a.d;
    const float delta = inner<32, N>(dy_h, out + (size_t)h * a.d, a.d, threadIdx.x & 31), lse = a.lse[row + h];
    for (int first = 0; first < a.keys; first += GROUPS) {
      const int key = first + thread / LANES;
      const size_t at = min(key, a.keys - 1) * w.stride;
      const float score = inner<LANES, N>(q_h, w.k + at, a.d, thread % LANES);
      const float slope = inner<LANES, N>(dy_h, w.v + at, a.d, thread % LANES);
      if (thread % LANES == 0 && key < a.keys) {
        const float probability = w.sees(key) ? exp2f((score * a.scale - lse) * LOG2_E) : 0.0f;
        p[h * a.keys + key] = probability;
        ds[h * a.keys + key] = probability * (slope - delta) * a.scale;
      }
    }
  }
  team_sync<TEAM>();
  for (int h = 0; h < group; h++)
    weighted_sum<TEAM, LANES, N>(ds + h * a.keys, w.k, w.stride, a.keys, a.d, (T*)a.dq + (row + h) * a.d);

  constexpr int ACROSS = TEAM == WARP ? LANES : TEAM;
  T *dk = (T*)a.dk + w.first, *dv = (T*)a.dv + w.first;
  for (int c = thread % ACROSS * N; c < a.d; c += ACROSS * N)
    for (int key = thread / ACROSS; key < a.keys; key += TEAM / ACROSS) {
      float to_k[N] = {}, to_v[N] = {};
      for (int h = 0; h < group; h++) {
        float x[N], y[N];
        load<N>(q + (size_t)h * a.d + c, x);
        load<N>(dy + (size_t)h * a.d + c, y);
#pragma unroll
        for (int e = 0; e < N; e++) {
          to_k[e] += ds[h * a.keys + key] * x[e];
          to_v[e] += p[h * a.keys + key] * y[e];
        }
      }
      store<N>(dk + key * w.stride + c, to_k);
      store<N>(dv + key * w.stride + c, to_v);
    }
}

// ----------------------------------------------------------------------------------------------------------------------------------

// One block is bound to be resident: else ptxas spills for sm_100 and sm_120, to make room for more.
#define KERNEL(NAME, SUFFIX, TEAM, LANES, T)                                                          \
  extern "C" __global__ void __launch_bounds__(THREADS, 1) NAME##_##SUFFIX##_##T(WindowArguments a) { \
    if (a.d % 8 == 0)                                                                                 \
      NAME<T, TEAM, LANES, 8>(a);                                                                     \
    else                                                                                              \
      NAME<T, TEAM, LANES, 1>(a);                                                                     \
  }
#define KERNELS(T)                       \
  KERNEL(window, narrow, WARP, 8, T)     \
  KERNEL(window, wide, WARP, 32, T)      \
  KERNEL(window, block, THREADS, 32, T)  \
  KERNEL(window_vjp, narrow, WARP, 8, T) \
  KERNEL(window_vjp, wide, WARP, 32, T)  \
  KERNEL(window_vjp, block, THREADS, 32, T)
FOR_BOTH(KERNELS)
