// Flash attention, vjp: the gradients of attention_<D>_<T> with respect to q, k and v; the prefix is constant.
//
//   attention_delta_<T>(AttentionArguments)      delta = rowsum(dy * out), which the others read
//   attention_dkdv_<D>_<T>(AttentionArguments)   dk =, dv =, summed over the group's heads and all queries
//   attention_dq_<D>_<T>(AttentionArguments)     dq =
//
// Arguments, D and alignment as in attention.cu. Probabilities are made anew from lse. With P = exp(scale * S - lse),
// S = q k^T, and dP = dy v^T:
//   dS = P * (dP - delta),  dv = P^T dy,  dk = scale * dS^T q,  dq = scale * dS k
// P and dS are rounded to T before their products, sums are f32. Every sum has one fixed order, without atomics, and depends
// on its own sequence alone.
//
// Launch, with THREADS threads and the bytes of dynamic shared memory in a table:
//   delta  ceil(batch * queries * heads / DELTA_ROWS) blocks, no shared memory
//   dkdv   batch * kv_heads * ceil(keys / DKDV_KEYS) * DKDV_BLOCKS blocks
//   dq     batch * heads * ceil(queries / DQ_QUERIES) blocks
#include "attention.cuh"

constexpr int DELTA_ROWS = 16;  // and heads, per block

constexpr int DKDV_KEYS[] = {128, 128, 64, 64, 64};
// Where registers hold one accumulator only, a tile of keys has two blocks, one for dk and one for dv, each making P for itself.
constexpr int DKDV_BLOCKS[] = {1, 1, 1, 1, 2};
constexpr int DKDV_SHARED_BYTES[] = {25344, 49920, 49920, 66304, 98688};

constexpr int DQ_QUERIES[] = {128, 128, 128, 128, 64};
constexpr int DQ_SHARED_BYTES[] = {24576, 49152, 73728, 98304, 98304};

template <typename T>
__device__ __forceinline__ void attention_delta(const AttentionArguments& a) {
  constexpr int LANES = THREADS / DELTA_ROWS;
  const int lane = threadIdx.x % LANES;
  const int64_t row = ((int64_t)blockIdx.x * THREADS + threadIdx.x) / LANES;
  const bool exists = row < (int64_t)a.batch * a.queries * a.heads;
  const T *dy = static_cast<const T*>(a.dy) + row * a.d, *out = static_cast<const T*>(a.out) + row * a.d;
  float sum = 0.0f;
  for (int i = lane * 8; exists && i < a.d; i += LANES * 8) {
    const Pack8<T> x = load8(dy + i), y = load8(out + i);
#pragma unroll
    for (int j = 0; j < 8; j++) sum += to_float(x.v[j]) * to_float(y.v[j]);
  }
#pragma unroll
  for (int offset = LANES / 2; offset; offset >>= 1) sum += __shfl_xor_sync(FULL_WARP, sum, offset);
  if (exists && lane == 0) a.delta[row] = sum;
}

template <int D>
struct KeyGradientTile {
  static constexpr int M = DKDV_KEYS[place_of(D)] / (16 * WARPS);  // 16 M keys per warp
  static constexpr int QUERIES = D <= 128 ? 32 : 16;               // per tile
  static constexpr bool SPLIT = DKDV_BLOCKS[place_of(D)] == 2;
};

// A walk over the queries that add to a tile of keys, in tiles of N: those of the group's heads, one after another, of one
// sequence.
template <typename T, int N>
struct QueryTiles {
  const AttentionArguments& a;
  int sequence, head, last_head, first;  // the tile at hand: its head, its first query; done when head > last_head
  int first_key;

  __device__ __forceinline__ QueryTiles(const AttentionArguments& a, int sequence, int kv_head, int first_key)
      : a(a), sequence(sequence), first(0), first_key(first_key) {
    const int group = uniform(a.heads / a.kv_heads);
    head = kv_head * group;
    last_head = head + group - 1;
    skip();
  }
  __device__ __forceinline__ bool done() const { return head > last_head; }
  __device__ __forceinline__ void step() {
    first += N;
    if (first >= a.queries) first = 0, head++;
  }
  // On to a tile with a query that sees the first key.
  __device__ __forceinline__ void skip() {
    if (!a.places) return;
    const int r = threadIdx.x & 31;
    while (!done() && !__any_sync(FULL_WARP, r < N && first + r < a.queries && a.places[first + r] >= first_key)) step();
  }
  __device__ __forceinline__ void next() {
    step();
    skip();
  }
  // The row of the tile's query `r` in a [batch * queries, heads, ..] matrix.
  __device__ __forceinline__ int64_t row(int r) const { return ((int64_t)sequence * a.queries + first + r) * a.heads + head; }
  template <int D>
  __device__ __forceinline__ void copy(SharedTile<T, N, D>& q, SharedTile<T, N, D>& dy) const {
    const int64_t start = row(0) * a.d, stride = (int64_t)a.heads * a.d;
    q.template copy<THREADS>(static_cast<const T*>(a.q) + start, stride, a.queries - first, a.d);
    dy.template copy<THREADS>(static_cast<const T*>(a.dy) + start, stride, a.queries - first, a.d);
  }
};

// What the queries of a tile have beside their rows, in shared memory.
template <int N>
struct QueryStatistics {
  float lse[N], delta[N];  // lse in log2
  int limit[N];            // keys of the sequence's own that are seen; 0 where there is no query
};

// One thread's part of QueryStatistics, thread r < N that of query r: loaded before a tile's work, stored after.
template <typename T, int N>
struct QueryStatistic {
  float lse = 0.0f, delta = 0.0f;
  int limit = 0;

  __device__ __forceinline__ void load(const QueryTiles<T, N>& queries) {
    const AttentionArguments& a = queries.a;
    const int r = threadIdx.x, query = queries.first + r;
    lse = delta = 0.0f;
    limit = 0;
    if (r < N && query < a.queries) {
      const int64_t row = queries.row(r);
      lse = a.lse[row] * LOG2_E;
      delta = a.delta[row];
      limit = a.places ? a.places[query] + 1 : a.keys;
    }
  }
  __device__ __forceinline__ void store(QueryStatistics<N>& to) const {
    if (threadIdx.x < N) {
      to.lse[threadIdx.x] = lse;
      to.delta[threadIdx.x] = delta;
      to.limit[threadIdx.x] = limit;
    }
  }
};

// The tile of KEYS keys that a block works on.
template <int KEYS>
struct KeyRows {
  int sequence, kv_head, first;
  __device__ __forceinline__ KeyRows(const AttentionArguments& a, int block) {
    const int tiles = divide_up(a.keys, KEYS), pair = uniform(block / tiles);
    first = (block - pair * tiles) * KEYS;
    sequence = uniform(pair / a.kv_heads);
    kv_head = pair - sequence * a.kv_heads;
  }
  // Where row `row` starts in a matrix of k's shape.
  __device__ __forceinline__ int64_t start(const AttentionArguments& a, int row) const {
    return (((int64_t)sequence * a.keys + first + row) * a.kv_heads + kv_head) * a.d;
  }
};

template <typename T, int D>
struct KeyGradientShared {
  static constexpr int KEYS = 16 * KeyGradientTile<D>::M * WARPS, QUERIES = KeyGradientTile<D>::QUERIES;
  struct Stage {
    SharedTile<T, QUERIES, D> q, dy;
  };
  SharedTile<T, KEYS, D> k, v;
  Stage stages[2];
  QueryStatistics<QUERIES> statistics[2];
};

// A block makes dk (if DK) and dv (if DV) of a tile of keys, with keys as the rows of all products: S^T = k q^T, so that the
// accumulators of P^T and dS^T are the operands of dv = P^T dy and dk = dS^T q. `block` counts tiles.
template <typename T, int D, bool DK, bool DV>
__device__ __forceinline__ void key_gradients(const AttentionArguments& a, int block) {
  constexpr int M = KeyGradientTile<D>::M, N = KeyGradientTile<D>::QUERIES, KEYS = 16 * M * WARPS;
  using Shared = KeyGradientShared<T, D>;
  static_assert(sizeof(Shared) == DKDV_SHARED_BYTES[place_of(D)], "launches ask for all of it");
  DYNAMIC_SHARED(Shared, shared);

  const KeyRows<KEYS> rows(a, block);
  const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  const int warp_row = uniform(threadIdx.x / 32) * (16 * M), warp_first = rows.first + warp_row;
  const int64_t stride = (int64_t)a.kv_heads * a.d;
  const float scale = a.scale * LOG2_E;

  const int count = a.keys - rows.first;
  shared->k.template copy<THREADS>(static_cast<const T*>(a.k) + rows.start(a, 0), stride, count, a.d);
  if (DK) shared->v.template copy<THREADS>(static_cast<const T*>(a.v) + rows.start(a, 0), stride, count, a.d);
  QueryTiles<T, N> queries(a, rows.sequence, rows.kv_head, rows.first);
  QueryStatistic<T, N> statistic;
  int stage = 0;
  bool more = !queries.done();
  if (more) {
    queries.copy(shared->stages[0].q, shared->stages[0].dy);
    statistic.load(queries);
    statistic.store(shared->statistics[0]);
  }
  cp_async_commit();

  Accumulator dk[M][D / 8] = {}, dv[M][D / 8] = {};
  while (more) {
    queries.next();
    more = !queries.done();
    cp_async_wait<0>();
    __syncthreads();  // this stage has arrived, and all are done with the other
    if (more) {
      auto& next = shared->stages[stage ^ 1];
      queries.copy(next.q, next.dy);
      statistic.load(queries);
    }
    cp_async_commit();

    const auto& [q, dy] = shared->stages[stage];
    const QueryStatistics<N>& of = shared->statistics[stage];
    const int limit = of.limit[lane % N];
    if (__any_sync(FULL_WARP, limit > warp_first)) {
      Accumulator p[M][N / 8] = {};
      multiply_rows<2>(p, shared->k, warp_row, q);
#pragma unroll
      for (int n = 0; n < N / 8; n++) {
        const float2 lse = *reinterpret_cast<const float2*>(&of.lse[8 * n + 2 * t]);
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
          for (int c = 0; c < 4; c++) p[m][n][c] = exp2f(fmaf(p[m][n][c], scale, c & 1 ? -lse.y : -lse.x));
      }
      if (__any_sync(FULL_WARP, limit < warp_first + 16 * M)) {
#pragma unroll
        for (int n = 0; n < N / 8; n++) {
          const int2 end = *reinterpret_cast<const int2*>(&of.limit[8 * n + 2 * t]);
#pragma unroll
          for (int m = 0; m < M; m++)
#pragma unroll
            for (int c = 0; c < 4; c++)
              if (warp_first + 16 * m + g + c / 2 * 8 >= (c & 1 ? end.y : end.x)) p[m][n][c] = 0.0f;
        }
      }
      if (DV) multiply_scores(dv, p, dy);
      if (DK) {
        Accumulator ds[M][N / 8] = {};
        multiply_rows<2>(ds, shared->v, warp_row, dy);
#pragma unroll
        for (int n = 0; n < N / 8; n++) {
          const float2 delta = *reinterpret_cast<const float2*>(&of.delta[8 * n + 2 * t]);
#pragma unroll
          for (int m = 0; m < M; m++)
#pragma unroll
            for (int c = 0; c < 4; c++) ds[m][n][c] = p[m][n][c] * (ds[m][n][c] - (c & 1 ? delta.y : delta.x));
        }
        multiply_scores(dk, ds, q);
      }
    }
    stage ^= 1;
    if (more) statistic.store(shared->statistics[stage]);
  }

  cp_async_wait<0>();
  __syncthreads();  // k and v have arrived even where no query saw them
  const KeyRows<KEYS> out(a, block);  // as `rows`, made anew: the loop has no registers to spare for it
#pragma unroll
  for (int m = 0; m < M; m++) {
    const int row = warp_row + 16 * m, count = a.keys - out.first - row;
    const int64_t at = out.start(a, row);
    if (DK) store_rows(dk[m], a.scale, a.scale, shared->k, row, static_cast<T*>(a.dk) + at, stride, count, a.d);
    if (DV) store_rows(dv[m], 1.0f, 1.0f, shared->v, row, static_cast<T*>(a.dv) + at, stride, count, a.d);
  }
}

template <int D>
struct QueryGradientTile {
  static constexpr int M = DQ_QUERIES[place_of(D)] / (16 * WARPS);  // 16 M queries per warp
  static constexpr int KEYS = D <= 128 ? 32 : 16;                   // per tile
};

template <typename T, int D>
struct QueryGradientShared {
  static constexpr int QUERIES = QueryRows<QueryGradientTile<D>::M>::ROWS, KEYS = QueryGradientTile<D>::KEYS;
  struct Stage {
    SharedTile<T, KEYS, D> k, v;
  };
  SharedTile<T, QUERIES, D> q, dy;
  Stage stages[2];
};

template <typename T, int D>
__device__ __forceinline__ void query_gradients(const AttentionArguments& a) {
  constexpr int M = QueryGradientTile<D>::M, KEYS = QueryGradientTile<D>::KEYS;
  using Shared = QueryGradientShared<T, D>;
  static_assert(sizeof(Shared) == DQ_SHARED_BYTES[place_of(D)], "launches ask for all of it");
  DYNAMIC_SHARED(Shared, shared);
  const QueryRows<M> rows(a);
  const KeyTiles<T, KEYS> keys(a, rows.sequence, rows.head, rows.own);
  const int64_t stride = (int64_t)a.heads * a.d;
  const float scale = a.scale * LOG2_E;

  shared->q.template copy<THREADS>(static_cast<const T*>(a.q) + rows.start(a), stride, rows.rows, a.d);
  shared->dy.template copy<THREADS>(static_cast<const T*>(a.dy) + rows.start(a), stride, rows.rows, a.d);
  keys.copy_k(shared->stages[0].k, 0, a.d);
  keys.copy_v(shared->stages[0].v, 0, a.d);
  cp_async_commit();
  float lse[M][2], delta[M][2];
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int r = 0; r < 2; r++) {
      lse[m][r] = rows.exists(m, r) ? a.lse[rows.statistic(a, m, r)] * LOG2_E : 0.0f;
      delta[m][r] = rows.exists(m, r) ? a.delta[rows.statistic(a, m, r)] : 0.0f;
    }

  Accumulator dq[M][D / 8] = {};
  for (int tile = 0; tile < keys.count; tile++) {
    const auto& [k, v] = shared->stages[tile & 1];
    cp_async_wait<0>();
    __syncthreads();  // this stage has arrived, and all are done with the other
    if (tile + 1 < keys.count) {
      auto& next = shared->stages[~tile & 1];
      keys.copy_k(next.k, tile + 1, a.d);
      keys.copy_v(next.v, tile + 1, a.d);
    }
    cp_async_commit();
    if (!rows.sees(keys, tile)) continue;
    Accumulator p[M][KEYS / 8] = {}, ds[M][KEYS / 8] = {};
    multiply_rows<2>(p, shared->q, rows.warp_row, k);
    rows.mask(p, keys, tile);
    multiply_rows<2>(ds, shared->dy, rows.warp_row, v);
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int c = 0; c < 4; c++)
          ds[m][n][c] = exp2f(fmaf(p[m][n][c], scale, -lse[m][c / 2])) * (ds[m][n][c] - delta[m][c / 2]);
    multiply_scores(dq, ds, k);
  }

#pragma unroll
  for (int m = 0; m < M; m++) {
    const int row = rows.warp_row + 16 * m;
    T* target = static_cast<T*>(a.dq) + rows.start(a) + row * stride;
    store_rows(dq[m], a.scale, a.scale, shared->q, row, target, stride, rows.rows - row, a.d);
  }
}

#define DELTA(T)                                                                                    \
  extern "C" __global__ void __launch_bounds__(THREADS) attention_delta_##T(AttentionArguments a) { \
    attention_delta<T>(a);                                                                          \
  }
#define DKDV(D, T)                                                                                          \
  extern "C" __global__ void __launch_bounds__(THREADS, 2) attention_dkdv_##D##_##T(AttentionArguments a) { \
    if constexpr (!KeyGradientTile<D>::SPLIT)                                                               \
      key_gradients<T, D, true, true>(a, blockIdx.x);                                                       \
    else if (blockIdx.x & 1)                                                                                \
      key_gradients<T, D, false, true>(a, blockIdx.x / 2);                                                  \
    else                                                                                                    \
      key_gradients<T, D, true, false>(a, blockIdx.x / 2);                                                  \
  }
#define DQ(D, T)                                                                                          \
  extern "C" __global__ void __launch_bounds__(THREADS, 2) attention_dq_##D##_##T(AttentionArguments a) { \
    query_gradients<T, D>(a);                                                                             \
  }
FOR_BOTH(DELTA)
FOR_HEADS(DKDV, bf16)
FOR_HEADS(DKDV, f16)
FOR_HEADS(DQ, bf16)
FOR_HEADS(DQ, f16)
