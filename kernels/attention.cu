// Flash attention, forward (Dao, FlashAttention-2): out = softmax(scale * q k^T) v per head, and the scores' log-sum-exp.
//
//   attention_<D>_<T>(AttentionArguments)   out =, lse =
//
// D is 32, 64, 96, 128 or 256, the smallest that holds the head size d (16 <= d <= 256, a multiple of 8). Shapes are in
// attention.cuh; query head h reads key-value head h / (heads / kv_heads). Every row must see a key; base pointers are
// 16-byte aligned. Products are of T with f32 sums, probabilities are rounded to T before theirs. A row's result depends on
// its own sequence and on nothing else of the batch.
//
// Launch: batch * heads * ceil(queries / QUERIES) blocks of THREADS threads, with SHARED_BYTES of dynamic shared memory.
#include "attention.cuh"

constexpr int QUERIES[] = {128, 128, 128, 128, 64};  // per block
constexpr int SHARED_BYTES[] = {12288, 24576, 36864, 49152, 65536};

template <int D>
struct ForwardTile {
  static constexpr int M = QUERIES[place_of(D)] / (16 * WARPS);  // 16 M queries per warp
  static constexpr int KEYS = 32;                  // per tile
  static constexpr int BLOCKS = D <= 64 ? 3 : 2;   // per multiprocessor that registers must allow
};

// The running softmax of a thread's rows. Probabilities are relative to exp2(scale * top), where top is the largest score or
// less than it by up to 2^SLACK in the probabilities: rounding is relative, so a smaller top loses nothing, and accumulators
// are seldom rescaled.
template <int M>
struct Softmax {
  static constexpr float SLACK = 8.0f;
  float top[M][2], sum[M][2];

  __device__ __forceinline__ Softmax() {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int r = 0; r < 2; r++) top[m][r] = -INFINITY, sum[m][r] = 0.0f;
  }

  // Scores become probabilities; `out` and the sums are rescaled where a row's top has grown. `scale` is per log2.
  template <int N, int D>
  __device__ __forceinline__ void add(Accumulator (&scores)[M][N / 8], Accumulator (&out)[M][D / 8], float scale) {
    float factor[M][2];
    bool grown = false;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int r = 0; r < 2; r++) {
        float most = fmaxf(scores[m][0][2 * r], scores[m][0][2 * r + 1]);
#pragma unroll
        for (int n = 1; n < N / 8; n++) most = fmaxf(most, fmaxf(scores[m][n][2 * r], scores[m][n][2 * r + 1]));
        most = fmaxf(most, __shfl_xor_sync(FULL_WARP, most, 1));
        most = fmaxf(most, __shfl_xor_sync(FULL_WARP, most, 2));
        const bool grows = (most - top[m][r]) * scale > SLACK;
        factor[m][r] = grows ? exp2f((top[m][r] - most) * scale) : 1.0f;
        if (grows) top[m][r] = most;
        grown |= grows;
      }
    if (__any_sync(FULL_WARP, grown)) {
#pragma unroll
      for (int m = 0; m < M; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
          sum[m][r] *= factor[m][r];
#pragma unroll
          for (int n = 0; n < D / 8; n++) {
            out[m][n][2 * r] *= factor[m][r];
            out[m][n][2 * r + 1] *= factor[m][r];
          }
        }
    }
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int r = 0; r < 2; r++) {
        const float base = top[m][r] * scale;
#pragma unroll
        for (int n = 0; n < N / 8; n++)
#pragma unroll
          for (int i = 2 * r; i < 2 * r + 2; i++) {
            scores[m][n][i] = exp2f(fmaf(scores[m][n][i], scale, -base));
            sum[m][r] += scores[m][n][i];
          }
      }
  }
};

template <typename T, int D>
struct ForwardShared {
  SharedTile<T, QueryRows<ForwardTile<D>::M>::ROWS, D> q;
  SharedTile<T, ForwardTile<D>::KEYS, D> k, v;
};

template <typename T, int D>
__device__ __forceinline__ void attention_forward(const AttentionArguments& a) {
  constexpr int M = ForwardTile<D>::M, KEYS = ForwardTile<D>::KEYS;
  using Shared = ForwardShared<T, D>;
  static_assert(sizeof(Shared) == SHARED_BYTES[place_of(D)], "launches ask for all of it");
  DYNAMIC_SHARED(Shared, shared);
  const QueryRows<M> rows(a);
  const KeyTiles<T, KEYS> keys(a, rows.sequence, rows.head, rows.own);
  const int64_t stride = (int64_t)a.heads * a.d;

  shared->q.template copy<THREADS>(static_cast<const T*>(a.q) + rows.start(a), stride, rows.rows, a.d);
  keys.copy_k(shared->k, 0, a.d);
  cp_async_commit();
  Accumulator out[M][D / 8] = {};
  Softmax<M> softmax;
  for (int tile = 0; tile < keys.count; tile++) {
    const bool sees = rows.sees(keys, tile);
    cp_async_wait<0>();
    __syncthreads();  // k has arrived, and all are done with the last v
    keys.copy_v(shared->v, tile, a.d);
    cp_async_commit();
    Accumulator scores[M][KEYS / 8] = {};
    if (sees) multiply_rows<D / 16>(scores, shared->q, rows.warp_row, shared->k);
    cp_async_wait<0>();
    __syncthreads();  // v has arrived, and all are done with k
    if (tile + 1 < keys.count) keys.copy_k(shared->k, tile + 1, a.d);
    cp_async_commit();
    if (sees) {
      rows.mask(scores, keys, tile);
      softmax.template add<KEYS, D>(scores, out, a.scale * LOG2_E);
      multiply_scores(out, scores, shared->v);
    }
  }

#pragma unroll
  for (int m = 0; m < M; m++) {
    float inverse[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
      float sum = softmax.sum[m][r];
      sum += __shfl_xor_sync(FULL_WARP, sum, 1);
      sum += __shfl_xor_sync(FULL_WARP, sum, 2);
      inverse[r] = 1.0f / sum;
      if (rows.exists(m, r) && (threadIdx.x & 3) == 0)
        a.lse[rows.statistic(a, m, r)] = softmax.top[m][r] * a.scale + logf(sum);
    }
    const int row = rows.warp_row + 16 * m;
    T* target = static_cast<T*>(a.out) + rows.start(a) + row * stride;
    store_rows(out[m], inverse[0], inverse[1], shared->q, row, target, stride, rows.rows - row, a.d);
  }
}

#define ATTENTION(D, T)                                                                              \
  extern "C" __global__ void __launch_bounds__(THREADS, ForwardTile<D>::BLOCKS) attention_##D##_##T( \
      AttentionArguments a) {                                                                        \
    attention_forward<T, D>(a);                                                                      \
  }
FOR_HEADS(ATTENTION, bf16)
FOR_HEADS(ATTENTION, f16)
