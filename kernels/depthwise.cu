// Depthwise convolution over a grid, each channel by itself, and its vjp, which is the same with the kernel turned about:
//
//   y[b, i, j, c] = bias[c] + onto[b, i, j, c] + sum over u, v of x[b, i + u - size / 2, j + v - size / 2, c] * kernel[u * size + v, c]
//
// with x zero outside its grid. Sums run over u, then v, from the bias on.
#include "common.cuh"

constexpr int THREADS = 256;

struct DepthwiseArguments {
  const void* x;       // [batch * height * width, channels] T
  const void* kernel;  // [size * size, channels] T
  const void* bias;    // [1, channels] T, or null: 0
  const void* onto;    // of x's shape, T, or null: 0
  void* y;             // of x's shape, T, =; may be onto
  int batch, height, width, channels, size;
  int flipped;         // 1: taps in reverse order, for the vjp
};

// Two neighbouring stored values in one 4-byte access.
template <typename T>
__device__ __forceinline__ float2 load2(const T* p) {
  const uint32_t bits = *reinterpret_cast<const uint32_t*>(p);
  T pair[2];
  memcpy(pair, &bits, 4);
  return make_float2(to_float(pair[0]), to_float(pair[1]));
}

template <typename T>
__device__ __forceinline__ void store2(T* p, float2 v) {
  const T pair[2] = {from_float<T>(v.x), from_float<T>(v.y)};
  uint32_t bits;
  memcpy(&bits, pair, 4);
  *reinterpret_cast<uint32_t*>(p) = bits;
}

// Any odd size and any number of channels: a thread makes N channels of one place. Launch: blocks of THREADS threads over batch * height *
// width * channels / N, fewer than 2^31; N is 8 where channels are a multiple of 8, else 1.
template <typename T, int N>
__device__ void depthwise_any(const DepthwiseArguments& a) {
  const unsigned packs = a.channels / N, thread = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned place = thread / packs;
  const int c = thread % packs * N, j = place % a.width, i = place / a.width % a.height;
  if (place >= (unsigned)(a.batch * a.height * a.width)) return;
  const int half = a.size / 2, taps = a.size * a.size;
  const T *x = (const T*)a.x + (size_t)place * a.channels + c, *kernel = (const T*)a.kernel + c;
  float sum[N] = {}, v[N], w[N];
  if (a.bias) load<N>((const T*)a.bias + c, sum);
  for (int u = max(0, half - i); u < min(a.size, a.height + half - i); u++)
    for (int s = max(0, half - j); s < min(a.size, a.width + half - j); s++) {
      const int tap = u * a.size + s;
      load<N>(x + ((ptrdiff_t)(u - half) * a.width + s - half) * a.channels, v);
      load<N>(kernel + (size_t)(a.flipped ? taps - 1 - tap : tap) * a.channels, w);
#pragma unroll
      for (int e = 0; e < N; e++) sum[e] += v[e] * w[e];
    }
  if (a.onto) {
    load<N>((const T*)a.onto + (size_t)place * a.channels + c, v);
#pragma unroll
    for (int e = 0; e < N; e++) sum[e] += v[e];
  }
  store<N>((T*)a.y + (size_t)place * a.channels + c, sum);
}

// 7 x 7 taps, channels a multiple of 8. A block makes SIDE x SIDE places of 64 channels, from a tile with its halo in shared memory;
// a warp makes ACROSS x DOWN places, a thread two channels of them in registers: each value read from shared memory serves up to
// 7 * DOWN products.
// Launch: batch * ceil(channels / CHANNELS) * ceil(height / SIDE) * ceil(width / SIDE) blocks of THREADS threads, with SHARED_BYTES of
// dynamic shared memory: the tile, and the taps in f32.
constexpr int TAPS = 49, SIDE = 16, TILE = SIDE + 6, CHANNELS = 64, ACROSS = 8, DOWN = 4;
constexpr int SHARED_BYTES = 2 * TILE * TILE * CHANNELS + 4 * TAPS * CHANNELS;

template <typename T>
__device__ void depthwise_7(const DepthwiseArguments& a) {
  DYNAMIC_SHARED(T, tile);  // [TILE, TILE, CHANNELS]
  float* weights = reinterpret_cast<float*>(tile + TILE * TILE * CHANNELS);  // [TAPS, CHANNELS]
  const int tiles_x = (a.width + SIDE - 1) / SIDE, tiles_y = (a.height + SIDE - 1) / SIDE;
  const int slices = (a.channels + CHANNELS - 1) / CHANNELS;
  int block = blockIdx.x;
  const int first_x = block % tiles_x * SIDE;
  block /= tiles_x;
  const int first_y = block % tiles_y * SIDE;
  block /= tiles_y;
  const int first_c = block % slices * CHANNELS;
  const size_t grid = (size_t)(block / slices) * a.height * a.width;

  const T* x = (const T*)a.x;
  for (int n = threadIdx.x; n < TILE * TILE * (CHANNELS / 8); n += blockDim.x) {
    const int c = n % (CHANNELS / 8) * 8, place = n / (CHANNELS / 8);
    const int i = first_y - 3 + place / TILE, j = first_x - 3 + place % TILE;
    const bool inside = i >= 0 && i < a.height && j >= 0 && j < a.width && first_c + c < a.channels;
    const T* source = inside ? x + (grid + (size_t)i * a.width + j) * a.channels + first_c + c : x;
    cp_async16(tile + place * CHANNELS + c, source, inside ? 16 : 0);
  }
  cp_async_commit();
  for (int n = threadIdx.x; n < TAPS * (CHANNELS / 8); n += blockDim.x) {
    const int c = n % (CHANNELS / 8) * 8, tap = n / (CHANNELS / 8), from = a.flipped ? TAPS - 1 - tap : tap;
    float w[8] = {};
    if (first_c + c < a.channels) load<8>((const T*)a.kernel + (size_t)from * a.channels + first_c + c, w);
#pragma unroll
    for (int e = 0; e < 8; e++) weights[tap * CHANNELS + c + e] = w[e];
  }
  cp_async_wait<0>();
  __syncthreads();

  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int row = (warp >> 1) * DOWN, column = (warp & 1) * ACROSS, c = first_c + 2 * lane;
  if (first_y + row >= a.height || first_x + column >= a.width || c >= a.channels) return;
  const float2 bias = a.bias ? load2((const T*)a.bias + c) : make_float2(0.0f, 0.0f);
  float2 sum[DOWN][ACROSS];
#pragma unroll
  for (int r = 0; r < DOWN; r++)
#pragma unroll
    for (int s = 0; s < ACROSS; s++) sum[r][s] = bias;
#pragma unroll 1
  for (int i = 0; i < DOWN + 6; i++) {
    float2 v[ACROSS + 6];
#pragma unroll
    for (int j = 0; j < ACROSS + 6; j++) v[j] = load2(tile + ((row + i) * TILE + column + j) * CHANNELS + 2 * lane);
#pragma unroll
    for (int r = 0; r < DOWN; r++) {
      const int u = i - r;
      if (u < 0 || u >= 7) continue;
#pragma unroll
      for (int tap = 0; tap < 7; tap++) {
        const float2 w = *reinterpret_cast<const float2*>(weights + (u * 7 + tap) * CHANNELS + 2 * lane);
#pragma unroll
        for (int s = 0; s < ACROSS; s++) {
          sum[r][s].x += v[s + tap].x * w.x;
          sum[r][s].y += v[s + tap].y * w.y;
        }
      }
    }
  }
#pragma unroll
  for (int r = 0; r < DOWN; r++)
#pragma unroll
    for (int s = 0; s < ACROSS; s++) {
      const int i = first_y + row + r, j = first_x + column + s;
      if (i >= a.height || j >= a.width) continue;
      const size_t at = (grid + (size_t)i * a.width + j) * a.channels + c;
      float2 y = sum[r][s];
      if (a.onto) {
        const float2 onto = load2((const T*)a.onto + at);
        y.x += onto.x;
        y.y += onto.y;
      }
      store2((T*)a.y + at, y);
    }
}

// ----------------------------------------------------------------------------------------------------------------------------------

#define KERNELS(T)                                                                                \
  extern "C" __global__ void __launch_bounds__(THREADS) depthwise_any_##T(DepthwiseArguments a) { \
    if (a.channels % 8 == 0)                                                                      \
      depthwise_any<T, 8>(a);                                                                     \
    else                                                                                          \
      depthwise_any<T, 1>(a);                                                                     \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(THREADS, 2) depthwise_7_##T(DepthwiseArguments a) { depthwise_7<T>(a); }
FOR_BOTH(KERNELS)
