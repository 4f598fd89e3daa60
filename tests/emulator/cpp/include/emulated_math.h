// CUDA's mathematical functions and intrinsics that the host's <cmath> lacks, computed plainly. The approximate ones (__expf, ...)
// are exact here; the device's may differ in the last bits.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

template <class To, class From>
inline To emulated_bits(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To bits;
  memcpy(&bits, &value, sizeof(To));
  return bits;
}
inline unsigned __float_as_uint(float x) { return emulated_bits<unsigned>(x); }
inline int __float_as_int(float x) { return emulated_bits<int>(x); }
inline float __uint_as_float(unsigned x) { return emulated_bits<float>(x); }
inline float __int_as_float(int x) { return emulated_bits<float>(x); }
inline long long __double_as_longlong(double x) { return emulated_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emulated_bits<double>(x); }

// min and max of mixed types go to the common one; of floats they skip a NaN, as on the device.
template <class A, class B, class = std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>>>
inline std::common_type_t<A, B> min(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) return std::fmin(T(a), T(b));
  else return T(a) < T(b) ? T(a) : T(b);
}
template <class A, class B, class = std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>>>
inline std::common_type_t<A, B> max(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) return std::fmax(T(a), T(b));
  else return T(a) > T(b) ? T(a) : T(b);
}

// Names that newer C libraries also declare are replaced, not overloaded.
inline float emulated_rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double emulated_rsqrt(double x) { return 1.0 / sqrt(x); }
inline double emulated_sinpi(double x) { return sin(fmod(x, 2.0) * M_PI); }
inline double emulated_cospi(double x) { return cos(fmod(x, 2.0) * M_PI); }
inline float emulated_sinpif(float x) { return float(emulated_sinpi(x)); }
inline float emulated_cospif(float x) { return float(emulated_cospi(x)); }
#define rsqrtf emulated_rsqrtf
#define rsqrt emulated_rsqrt
#define sinpi emulated_sinpi
#define cospi emulated_cospi
#define sinpif emulated_sinpif
#define cospif emulated_cospif
inline void sincospif(float x, float* s, float* c) { *s = emulated_sinpif(x); *c = emulated_cospif(x); }
inline void sincospi(double x, double* s, double* c) { *s = emulated_sinpi(x); *c = emulated_cospi(x); }

inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return powf(10.0f, x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline void __sincosf(float x, float* s, float* c) { *s = sinf(x); *c = cosf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frsqrt_rn(float x) { return 1.0f / sqrtf(x); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float __fdiv_rn(float a, float b) { return a / b; }
// These never fuse into a multiply-add.
#define EMULATED_UNFUSED(name, type, operation) \
  __attribute__((noinline, no_sanitize("thread"))) static type name(type a, type b) { return a operation b; }
EMULATED_UNFUSED(__fadd_rn, float, +)
EMULATED_UNFUSED(__fsub_rn, float, -)
EMULATED_UNFUSED(__fmul_rn, float, *)
EMULATED_UNFUSED(__dadd_rn, double, +)
EMULATED_UNFUSED(__dmul_rn, double, *)
#undef EMULATED_UNFUSED

inline int __float2int_rn(float x) { return int(rintf(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline int __float2int_rd(float x) { return int(floorf(x)); }
inline int __float2int_ru(float x) { return int(ceilf(x)); }
inline unsigned __float2uint_rn(float x) { return unsigned(rintf(x)); }
inline unsigned __float2uint_rz(float x) { return unsigned(x); }
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }
inline float __double2float_rn(double x) { return float(x); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; i++) reversed |= (x >> i & 1) << (31 - i);
  return reversed;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline int __mulhi(int a, int b) { return int((int64_t(a) * b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return unsigned(((uint64_t(high) << 32 | low) << (shift & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return unsigned((uint64_t(high) << 32 | low) >> (shift & 31));
}
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
  const uint64_t bytes = uint64_t(high) << 32 | low;
  unsigned result = 0;
  for (int i = 0; i < 4; i++) {
    const unsigned pick = selector >> (4 * i) & 15, byte = unsigned(bytes >> (8 * (pick & 7))) & 255;
    result |= (pick & 8 ? (byte & 128 ? 255u : 0u) : byte) << (8 * i);
  }
  return result;
}

// Loads and stores with a cache hint.
template <class T> inline T __ldg(const T* p) { return *p; }
template <class T> inline T __ldcs(const T* p) { return *p; }
template <class T> inline T __ldcg(const T* p) { return *p; }
template <class T> inline T __ldca(const T* p) { return *p; }
template <class T> inline T __ldlu(const T* p) { return *p; }
template <class T> inline void __stcs(T* p, std::common_type_t<T> v) { *p = v; }
template <class T> inline void __stcg(T* p, std::common_type_t<T> v) { *p = v; }
template <class T> inline void __stwb(T* p, std::common_type_t<T> v) { *p = v; }
template <class T> inline void __stwt(T* p, std::common_type_t<T> v) { *p = v; }
#define __builtin_assume(condition) ((void)0)
