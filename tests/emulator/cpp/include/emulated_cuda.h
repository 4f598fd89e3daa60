// Included before every .cu file: makes g++ accept CUDA C++ and turns each kernel into host code that runs on the
// emulator's fibers. Standard headers that kernels may name are included here, outside the kernels' namespace.
#pragma once
#define FOVEATE_EMULATED 1

#include <cfloat>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>

// NVIDIA's own headers give float4, uint4, dim3, make_* and the host side of __half and __nv_bfloat16.
#include <vector_types.h>
#include <vector_functions.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __constant__
#undef __forceinline__
#undef __noinline__
#undef __launch_bounds__
#undef __align__
#undef __grid_constant__

// The build script preprocesses each file with FOVEATE_EMULATED_SCAN to find its kernels, macro-made ones too.
#ifdef FOVEATE_EMULATED_SCAN
#define __global__ emulated_kernel_marker
#define __launch_bounds__(...) emulated_bounds_marker(__VA_ARGS__)
#else
#define __global__ __attribute__((noinline))
#define __launch_bounds__(...)
#endif
#define __device__
#define __host__
#define __constant__ static
#define __shared__ _Pragma("GCC error \"use SHARED or DYNAMIC_SHARED of ptx.cuh\"")
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__
#define __restrict__ __restrict

#include "emulated_kernel.h"
#include "emulated_threads.h"
#include "emulated_warp.h"
#include "emulated_atomics.h"
#include "emulated_math.h"
#include "emulated_ptx.h"
