// What attention's kernels share: their arguments, products of tiles, the list of key tiles, the rows of a block.
//
// D, the columns of all tiles, is the head size of the kernel.
#pragma once
#include "tile.cuh"

struct AttentionArguments {
  const void* q;          // T [batch * queries, heads * d]
  const void *k, *v;      // T [batch * keys, kv_heads * d]
  const void* prefix_k;   // T [prefix, kv_heads * d], shared by every sequence; null when prefix == 0
  const void* prefix_v;
  const int* places;      // [queries]: query r sees the prefix and its sequence's keys 0..=places[r]; null: sees all
  void* out;              // T [batch * queries, heads * d]
  float* lse;             // [batch * queries, heads]: natural log-sum-exp of the scaled scores
  const void* dy;         // vjp: T, of q's shape
  float* delta;           // vjp: [batch * queries, heads]: rowsum(dy * out)
  void *dq, *dk, *dv;     // vjp: T, of the shapes of q, k, v
  int batch, queries, keys, prefix, heads, kv_heads, d;
  float scale;            // on the scores; positive
};

constexpr int WARPS = 4, THREADS = 32 * WARPS;

// The head sizes that have kernels. Tables of launches are in this order.
constexpr int HEAD_SIZES[] = {32, 64, 96, 128, 256};

// Where head size d is in a table.
__host__ __device__ constexpr int place_of(int d) {
  int i = 0;
  while (HEAD_SIZES[i] != d) i++;
  return i;
}

// Instantiates MACRO(D, T) for every head size.
#define FOR_HEADS(MACRO, T) MACRO(32, T) MACRO(64, T) MACRO(96, T) MACRO(128, T) MACRO(256, T)

// v, which all lanes of the warp hold alike and is not negative: tells the compiler so, which then computes with it in uniform
// registers, branches on it without synchronising the lanes, and has more registers for accumulators.
__device__ __forceinline__ int uniform(int v) { return __reduce_max_sync(FULL_WARP, v); }

// Two values as the 32-bit register that mma takes, rounded by one instruction.
template <typename T>
__device__ __forceinline__ uint32_t round2(float low, float high);
template <>
__device__ __forceinline__ uint32_t round2<bf16>(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  uint32_t bits;
  memcpy(&bits, &pair, 4);
  return bits;
}
template <>
__device__ __forceinline__ uint32_t round2<f16>(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  uint32_t bits;
  memcpy(&bits, &pair, 4);
  return bits;
}

// The A fragment of a 16 x 16 block of scores, from its accumulators: columns 0 to 7 in `left`, 8 to 15 in `right`.
template <typename T>
__device__ __forceinline__ FragmentA as_operand(const Accumulator& left, const Accumulator& right) {
  return {{round2<T>(left[0], left[1]), round2<T>(left[2], left[3]), round2<T>(right[0], right[1]), round2<T>(right[2], right[3])}};
}

// scores[m] += A B^T over D columns: 16 M rows of tile a from `row` on, N rows of tile b. UNROLL: how many steps of 16 columns
// at once; fewer keep the compiler from loading so far ahead that registers run out.
template <int UNROLL, int M, int N, int D, int ROWS, typename T>
__device__ __forceinline__ void multiply_rows(Accumulator (&scores)[M][N / 8], const SharedTile<T, ROWS, D>& a, int row,
                                              const SharedTile<T, N, D>& b) {
#pragma unroll UNROLL
  for (int step = 0; step < D / 16; step++) {
    FragmentA left[M];
#pragma unroll
    for (int m = 0; m < M; m++) a.load_a(left[m], row + 16 * m, step);
#pragma unroll
    for (int n = 0; n < N / 16; n++) {
      FragmentB right;
      b.load_b(right, 16 * n, step);
#pragma unroll
      for (int m = 0; m < M; m++) multiply<T>(scores[m][2 * n], scores[m][2 * n + 1], left[m], right);
    }
  }
}

// sums[m] += P B: P the 16 M x N scores, rounded to T, B the N x D tile.
template <int M, int N, int D, typename T>
__device__ __forceinline__ void multiply_scores(Accumulator (&sums)[M][D / 8], const Accumulator (&scores)[M][N / 8],
                                                const SharedTile<T, N, D>& b) {
#pragma unroll
  for (int k = 0; k < N / 16; k++) {
    FragmentA left[M];
#pragma unroll
    for (int m = 0; m < M; m++) left[m] = as_operand<T>(scores[m][2 * k], scores[m][2 * k + 1]);
#pragma unroll
    for (int n = 0; n < D / 16; n++) {
      FragmentB right;
      b.load_b_transposed(right, 16 * k, n);
#pragma unroll
      for (int m = 0; m < M; m++) multiply<T>(sums[m][2 * n], sums[m][2 * n + 1], left[m], right);
    }
  }
}

// Writes the 16 x D sums of a warp, rows g times `low` and rows g + 8 times `high`, to the first `rows` rows and d columns of
// `out`, by way of 16 rows of a tile, from `first` on, that this warp alone uses.
template <typename T, int ROWS, int D>
__device__ __forceinline__ void store_rows(const Accumulator (&sums)[D / 8], float low, float high, SharedTile<T, ROWS, D>& tile,
                                           int first, T* out, int64_t stride, int rows, int d) {
  using Tile = SharedTile<T, ROWS, D>;
  const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  T* v = tile.v + first * D;
  __syncwarp();
#pragma unroll
  for (int n = 0; n < D / 8; n++) {
    *reinterpret_cast<uint32_t*>(v + Tile::at(g, n) + 2 * t) = round2<T>(sums[n][0] * low, sums[n][1] * low);
    *reinterpret_cast<uint32_t*>(v + Tile::at(g + 8, n) + 2 * t) = round2<T>(sums[n][2] * high, sums[n][3] * high);
  }
  __syncwarp();
#pragma unroll
  for (int i = lane; i < 16 * (D / 8); i += 32) {
    const int row = i / (D / 8), chunk = i % (D / 8);
    if (row < rows && chunk * 8 < d)
      *reinterpret_cast<uint4*>(out + row * stride + chunk * 8) = *reinterpret_cast<const uint4*>(v + Tile::at(row, chunk));
  }
}

// The keys that a tile of queries sees, in tiles of N: those of the prefix, then the sequence's own up to the largest place.
template <typename T, int N>
struct KeyTiles {
  const T *prefix_k, *prefix_v, *k, *v;  // of this key-value head and sequence
  int64_t stride;
  int prefix, own, prefix_tiles, count;

  // Of the key-value head of query head `query_head`, in sequence `b`; `own` of the sequence's own keys are seen.
  __device__ __forceinline__ KeyTiles(const AttentionArguments& a, int b, int query_head, int own)
      : stride((int64_t)a.kv_heads * a.d), prefix(a.prefix), own(own) {
    const int64_t head = (int64_t)uniform(query_head / (a.heads / a.kv_heads)) * a.d, sequence = b * (stride * a.keys);
    prefix_k = static_cast<const T*>(a.prefix_k) + head;
    prefix_v = static_cast<const T*>(a.prefix_v) + head;
    k = static_cast<const T*>(a.k) + sequence + head;
    v = static_cast<const T*>(a.v) + sequence + head;
    prefix_tiles = divide_up(prefix, N);
    count = prefix_tiles + divide_up(own, N);
  }
  __device__ __forceinline__ bool in_prefix(int tile) const { return tile < prefix_tiles; }
  // The first key of a tile, counted within the prefix or within the sequence's own.
  __device__ __forceinline__ int first(int tile) const { return N * (in_prefix(tile) ? tile : tile - prefix_tiles); }

  template <int D>
  __device__ __forceinline__ void copy(SharedTile<T, N, D>& shared, int tile, const T* of_prefix, const T* of_own, int d) const {
    const int i = first(tile);
    const T* source = (in_prefix(tile) ? of_prefix : of_own) + i * stride;
    shared.template copy<THREADS>(source, stride, (in_prefix(tile) ? prefix : own) - i, d);
  }
  template <int D>
  __device__ __forceinline__ void copy_k(SharedTile<T, N, D>& shared, int tile, int d) const {
    copy(shared, tile, prefix_k, k, d);
  }
  template <int D>
  __device__ __forceinline__ void copy_v(SharedTile<T, N, D>& shared, int tile, int d) const {
    copy(shared, tile, prefix_v, v, d);
  }
};

// Which queries a block, a warp and a thread hold, and how many own keys they see. Thread rows are 16 m + g + 8 r from the
// warp's first on.
template <int M>
struct QueryRows {
  static constexpr int ROWS = 16 * M * WARPS;
  int sequence, head, first;      // of the block: sequence, head, first query
  int rows;                       // queries of the block, at most ROWS
  int warp_row;                   // the warp's first row within the block
  int own;                        // own keys that the block sees
  const int* places;              // of the block's rows, or null
  int warp_least, warp_most;      // own keys that the warp's rows see: the least, the most (0: it has no rows)

  // Blocks go by sequence, head, tile of queries, the last queries first: they see the most keys.
  __device__ __forceinline__ explicit QueryRows(const AttentionArguments& a) {
    const int tiles = divide_up(a.queries, ROWS), lane = threadIdx.x & 31;
    const int pair = uniform(blockIdx.x / tiles);
    first = (tiles - 1 - (blockIdx.x - pair * tiles)) * ROWS;
    sequence = uniform(pair / a.heads);
    head = pair - sequence * a.heads;
    rows = min(ROWS, a.queries - first);
    warp_row = uniform(threadIdx.x / 32) * (16 * M);
    places = a.places ? a.places + first : nullptr;
    own = places ? 0 : a.keys;
    warp_most = warp_row < rows ? own : 0;
    warp_least = a.keys;
    if (places) {
#pragma unroll
      for (int i = 0; i < ROWS / 32; i++)
        if (32 * i + lane < rows) own = max(own, places[32 * i + lane] + 1);
      const int row = warp_row + lane % (16 * M);
      if (row < rows) warp_least = warp_most = places[row] + 1;
      own = __reduce_max_sync(FULL_WARP, own);
      warp_most = __reduce_max_sync(FULL_WARP, warp_most);
      warp_least = __reduce_min_sync(FULL_WARP, warp_least);
    }
  }
  // The thread's row (m, r) within the block.
  __device__ __forceinline__ int row(int m, int r) const { return warp_row + 16 * m + (threadIdx.x & 31) / 4 + 8 * r; }
  __device__ __forceinline__ bool exists(int m, int r) const { return row(m, r) < rows; }
  // Where the block's rows start in a matrix of q's shape.
  __device__ __forceinline__ int64_t start(const AttentionArguments& a) const {
    return (((int64_t)sequence * a.queries + first) * a.heads + head) * a.d;
  }
  // Where the thread's row (m, r) is in a [batch * queries, heads] matrix.
  __device__ __forceinline__ int64_t statistic(const AttentionArguments& a, int m, int r) const {
    return ((int64_t)sequence * a.queries + first + row(m, r)) * a.heads + head;
  }
  // Whether the warp sees any key of a tile.
  template <typename T, int N>
  __device__ __forceinline__ bool sees(const KeyTiles<T, N>& keys, int tile) const {
    return __any_sync(FULL_WARP, keys.in_prefix(tile) ? warp_row < rows : keys.first(tile) < warp_most);
  }
  // Scores of keys that a row does not see become -inf.
  template <typename T, int N>
  __device__ __forceinline__ void mask(Accumulator (&scores)[M][N / 8], const KeyTiles<T, N>& keys, int tile) const {
    const bool in_prefix = keys.in_prefix(tile);
    const int first = keys.first(tile);
    if (first + N <= (in_prefix ? keys.prefix : warp_least)) return;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int r = 0; r < 2; r++) {
        const int seen = in_prefix ? keys.prefix : places && exists(m, r) ? places[row(m, r)] + 1 : keys.own;
        const int end = seen - first - 2 * (threadIdx.x & 3);  // columns from here on, less the thread's first, are not seen
#pragma unroll
        for (int n = 0; n < N / 8; n++) {
          if (8 * n >= end) scores[m][n][2 * r] = -INFINITY;
          if (8 * n + 1 >= end) scores[m][n][2 * r + 1] = -INFINITY;
        }
      }
  }
};
