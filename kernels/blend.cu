// Blends of two pictures through masks, made as patches, and the gradient back to the masks.
//
// Pictures have one or several views of height x width pixels. A view has `across` patches a row, `patch_count` in all; a patch is a
// row of 3 * patch * patch columns ordered channel, row, column. Pixel (i, j) of view v sees U = the bilinear sample of a mask through
// rows[v][i] and columns[v][j], 1 in the padding; with w = alpha * U a blend is x w + b (1 - w) where it keeps, b w + x (1 - w) where it
// reveals, plus noise.
#include "common.cuh"

constexpr int THREADS = 128;
constexpr int ELEMENTS = 4;  // of a thread, in blend

struct Tap {
  int low, high;  // the mask's indices; low < 0 in the padding
  float weight;   // the share of `high`
};

struct Blend {
  int first, second;  // masks; second < 0: the first alone, else the product of both, each sampled first
  int reveals;
  float alpha;
  float deviation;    // of the noise; 0: none
  unsigned seed_low, seed_high, stream_low, stream_high;
};

struct BlendArguments {
  const float* picture;     // [views, patch_count, 3 * patch * patch]
  const float* baseline;    // likewise
  const float* difference;  // picture - baseline
  const Tap* rows;          // [views, height]
  const Tap* columns;       // [views, width]
  const float* masks;       // [.., size, size]
  const Blend* blends;      // [count]
  void* patches;            // [count * views * patch_count, 3 * patch * patch] T: the blends, =, or their gradient
  float* parts;             // [count, views, slots, size, 2, size] f32, =; slots is 2 where a blend has a second mask, else 1
  float* gradients;         // [.., size, size] f32, +=
  const int* bands;         // [views, size + 1]: a view's rows with low = i are bands[i] .. bands[i + 1], padding left out
  const int* spans;         // [views, size, 2]: a view's columns that mask column j touches are spans[j][0] .. spans[j][1]
  int patch, across, patch_count, views, height, width, size, count, slots;
  int each;                 // blend: how many blends one thread makes
};

__device__ __forceinline__ float sample(const float* mask, int size, const Tap& row, const Tap& column) {
  if (row.low < 0 || column.low < 0) return 1.0f;
  const float *low = mask + row.low * size, *high = mask + row.high * size;
  const float a = low[column.low] + column.weight * (low[column.high] - low[column.low]);
  const float b = high[column.low] + column.weight * (high[column.high] - high[column.low]);
  return a + row.weight * (b - a);
}

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
__device__ __forceinline__ uint4 philox(uint4 c, unsigned k0, unsigned k1) {
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const unsigned high0 = __umulhi(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x;
    const unsigned high1 = __umulhi(0xCD9E8D57u, c.z), low1 = 0xCD9E8D57u * c.z;
    c = make_uint4(high1 ^ c.y ^ k0, low1, high0 ^ c.w ^ k1, low0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

// Two normal numbers from two words (Box and Muller 1958): r cos(t), r sin(t), r = sqrt(-2 ln u), u in (0, 1], t in [0, 2 pi).
__device__ __forceinline__ void normal_pair(unsigned a, unsigned b, float& first, float& second) {
  const float unit = 1.0f / (1 << 24);
  const float radius = sqrtf(-2.0f * logf(((a >> 8) + 1) * unit));
  float sine, cosine;
  sincospif(2.0f * ((b >> 8) * unit), &sine, &cosine);
  first = radius * cosine;
  second = radius * sine;
}

// Every blend of `patches`. A thread makes ELEMENTS neighbouring elements of one patch, which share a random counter, for a.each blends
// from blockIdx.y * a.each on. Launch: x blocks of THREADS threads over views * patch_count * ceil(columns / ELEMENTS), y over the
// blends.
template <typename T>
__device__ void blend(const BlendArguments& a) {
  const int area = a.patch * a.patch, length = 3 * area, groups = divide_up(length, ELEMENTS);
  const int thread = blockIdx.x * blockDim.x + threadIdx.x;
  const int p = thread / groups, group = thread % groups, patches = a.views * a.patch_count;
  if (p >= patches) return;
  const int view = p / a.patch_count, place = p - view * a.patch_count;  // among the patches of its view
  const int count = min(ELEMENTS, length - group * ELEMENTS);
  float x[ELEMENTS], b[ELEMENTS];
  Tap rows[ELEMENTS], columns[ELEMENTS];
  for (int e = 0; e < count; e++) {
    const int element = group * ELEMENTS + e, pixel = element % area;
    x[e] = a.picture[(size_t)p * length + element];
    b[e] = a.baseline[(size_t)p * length + element];
    rows[e] = a.rows[view * a.height + place / a.across * a.patch + pixel / a.patch];
    columns[e] = a.columns[view * a.width + place % a.across * a.patch + pixel % a.patch];
  }
  const int last = min((int)(blockIdx.y + 1) * a.each, a.count);
  for (int n = blockIdx.y * a.each; n < last; n++) {
    const Blend blend = a.blends[n];
    float noise[ELEMENTS] = {};
    if (blend.deviation > 0.0f) {
      const uint4 counter = make_uint4(group, p, blend.stream_low, blend.stream_high);
      const uint4 words = philox(counter, blend.seed_low, blend.seed_high);
      normal_pair(words.x, words.y, noise[0], noise[1]);
      normal_pair(words.z, words.w, noise[2], noise[3]);
    }
    const float* first = a.masks + (size_t)blend.first * a.size * a.size;
    T out[ELEMENTS];
#pragma unroll
    for (int e = 0; e < ELEMENTS; e++) {
      if (e >= count) break;
      float u = sample(first, a.size, rows[e], columns[e]);
      if (blend.second >= 0) u *= sample(a.masks + (size_t)blend.second * a.size * a.size, a.size, rows[e], columns[e]);
      const float w = blend.alpha * u;
      const float kept = blend.reveals ? b[e] : x[e], other = blend.reveals ? x[e] : b[e];
      out[e] = from_float<T>(kept * w + other * (1.0f - w) + blend.deviation * noise[e]);
    }
    T* y = (T*)a.patches + ((size_t)n * patches + p) * length + group * ELEMENTS;
    if (length % ELEMENTS == 0) {
      uint2 bits;
      memcpy(&bits, out, 8);
      *reinterpret_cast<uint2*>(y) = bits;
    } else {
      for (int e = 0; e < count; e++) y[e] = out[e];
    }
  }
}

// What one band of a view's rows, those between mask rows i and i + 1, adds to both: parts[n, view, slot, i, 0 or 1, :]. A thread sums
// its columns over the band's rows, then its mask columns over theirs, so the order of additions is fixed and each gradient is read
// once. Launch: blocks of THREADS threads, x = band, y = blend, z = view, dynamic shared memory of 2 * width floats.
template <typename T>
__device__ void blend_vjp(const BlendArguments& a) {
  DYNAMIC_SHARED(float, lines);
  float *low = lines, *high = lines + a.width;
  const int band = blockIdx.x, n = blockIdx.y, view = blockIdx.z, area = a.patch * a.patch, length = 3 * area;
  const Blend blend = a.blends[n];
  const size_t patches = (size_t)a.patch_count * length;  // elements of a view's
  const T* dy = (const T*)a.patches + ((size_t)n * a.views + view) * patches;
  const float* difference = a.difference + view * patches;
  const Tap *rows = a.rows + view * a.height, *columns = a.columns + view * a.width;
  const int first = a.bands[view * (a.size + 1) + band], last = a.bands[view * (a.size + 1) + band + 1];
  const int* spans = a.spans + view * 2 * a.size;
  const float scale = blend.reveals ? -blend.alpha : blend.alpha;
  const int slots = blend.second >= 0 ? 2 : 1;
  for (int slot = 0; slot < slots; slot++) {
    // A product's gradient by one mask is weighted by the sample of the other.
    const float* other = a.masks + (size_t)(slot ? blend.first : blend.second) * a.size * a.size;
    for (int j = threadIdx.x; j < a.width; j += blockDim.x) {
      const Tap column = columns[j];
      float sum_low = 0.0f, sum_high = 0.0f;
      if (column.low >= 0) {
        for (int i = first; i < last; i++) {
          const Tap row = rows[i];
          const int p = i / a.patch * a.across + j / a.patch;
          const size_t at = (size_t)p * length + i % a.patch * a.patch + j % a.patch;
          float du = 0.0f;
#pragma unroll
          for (int c = 0; c < 3; c++) du += to_float(dy[at + c * area]) * difference[at + c * area];
          if (slots == 2) du *= sample(other, a.size, row, column);
          sum_low += (1.0f - row.weight) * du;
          sum_high += row.weight * du;
        }
      }
      low[j] = sum_low;
      high[j] = sum_high;
    }
    __syncthreads();
    float* part = a.parts + ((((size_t)n * a.views + view) * a.slots + slot) * a.size + band) * 2 * a.size;
    for (int cell = threadIdx.x; cell < a.size; cell += blockDim.x) {
      float sum_low = 0.0f, sum_high = 0.0f;
      for (int j = spans[2 * cell]; j < spans[2 * cell + 1]; j++) {
        const Tap column = columns[j];
        const float weight = (column.low == cell ? 1.0f - column.weight : 0.0f) + (column.high == cell ? column.weight : 0.0f);
        sum_low += weight * low[j];
        sum_high += weight * high[j];
      }
      part[cell] = scale * sum_low;
      part[a.size + cell] = scale * sum_high;
    }
    __syncthreads();
  }
}

// gradients[m] += what every blend adds to mask m, blend by blend in their order, each summed view by view: a band's own row, and the
// row above it from the band before. The last mask row has no row above. One block is bound to be resident:
// else ptxas spills for sm_120, to make room for more. Launch: one thread per cell in blocks of THREADS, y = mask.
extern "C" __global__ void __launch_bounds__(THREADS, 1) blend_gather(BlendArguments a) {
  const int cell = blockIdx.x * blockDim.x + threadIdx.x, m = blockIdx.y, cells = a.size * a.size;
  if (cell >= cells) return;
  const int i = cell / a.size, j = cell % a.size;
  float sum = a.gradients[(size_t)m * cells + cell];
  for (int n = 0; n < a.count; n++) {
    const Blend blend = a.blends[n];
    float one = 0.0f;
    for (int view = 0; view < a.views; view++)
      for (int slot = 0; slot < 2; slot++) {
        if ((slot ? blend.second : blend.first) != m) continue;
        const float* parts = a.parts + (((size_t)n * a.views + view) * a.slots + slot) * 2 * cells;
        one += parts[(size_t)i * 2 * a.size + j];
        if (i > 0) one += parts[((size_t)i * 2 - 1) * a.size + j];
      }
    sum += one;
  }
  a.gradients[(size_t)m * cells + cell] = sum;
}

// ----------------------------------------------------------------------------------------------------------------------------------

#define KERNELS(T)                                                                                   \
  extern "C" __global__ void __launch_bounds__(THREADS) blend_##T(BlendArguments a) { blend<T>(a); } \
  extern "C" __global__ void __launch_bounds__(THREADS) blend_vjp_##T(BlendArguments a) { blend_vjp<T>(a); }
FOR_BOTH(KERNELS)
