#!/usr/bin/env python3
"""Looks at the machine code of the kernels: check_kernels.py CUOBJDUMP FATBIN...

For sm_80 and sm_90a every kernel must be there without local memory (no spills, no stack), the matrix products must hold exactly
the tensor-core instructions that their tiles ask for, those on registers exactly one step's, and products and attention must load
16 bytes at a time. Prints registers and shared memory of every kernel.
"""

import re
import subprocess
import sys
from pathlib import Path

ARCHS = ["sm_80", "sm_90a"]
OTHERS = ["sm_86", "sm_89", "sm_100", "sm_120"]
# Tensor-core instructions of a product's tile, warp by warp: rows x columns x depth / (16 x 8 x 16).
PRODUCTS = {
    "large": 64 * 64 * 32 // (16 * 8 * 16),
    "small": 32 * 32 * 32 // (16 * 8 * 16),
    "odd": 32 * 64 * 32 // (16 * 8 * 16),
}
# Likewise of one step of the products on registers, the body of their loop.
STEP = 32 * 32 * 16 // (16 * 8 * 16)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def kernels(cuobjdump, fatbin, arch):
    """The machine code of every kernel, by name."""
    text = run(cuobjdump, "-sass", "-arch", arch, fatbin)
    parts = re.split(r"^\s*Function : (\S+)\s*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def resources(cuobjdump, fatbin, arch):
    """Registers, stack, shared and local memory of every kernel, by name."""
    text = run(cuobjdump, "-res-usage", "-arch", arch, fatbin)
    found = {}
    for name, line in re.findall(r"Function (\S+?):\s*\n\s*(REG:.*)", text):
        found[name] = {key: int(value) for key, value in re.findall(r"(\w+):(\d+)", line)}
    return found


def faults(name, code, usage):
    """What is wrong with one kernel."""
    products = len(re.findall(r"\bHMMA\.", code))
    wide = len(re.findall(r"\b(?:LDG|LDGSTS)\.E\S*\.128\b", code))
    if usage.get("STACK", 0) or usage.get("LOCAL", 0) or re.search(r"\b(?:LDL|STL)\b", code):
        yield f"uses local memory: {usage}"
    tile = re.fullmatch(r"gemm_n[nt]_\w+_(large|small|odd)_\w+", name)
    if tile and products != PRODUCTS[tile.group(1)]:
        yield f"expected {PRODUCTS[tile.group(1)]} tensor-core instructions, found {products}"
    if re.fullmatch(r"products_\w+", name) and products != STEP:
        yield f"expected {STEP} tensor-core instructions, found {products}"
    attention = re.fullmatch(r"attention_(?:dkdv_|dq_)?\d+_\w+", name)
    if attention and not products:
        yield "expected tensor-core instructions, found none"
    if (tile or attention) and not wide:
        yield "expected 16-byte loads, found none"


def main():
    cuobjdump, *fatbins = sys.argv[1:]
    failed, seen = False, {arch: 0 for arch in ARCHS}
    for fatbin in fatbins:
        for arch in ARCHS:
            usage = resources(cuobjdump, fatbin, arch)
            for name, code in sorted(kernels(cuobjdump, fatbin, arch).items()):
                seen[arch] += 1
                of = usage.get(name, {})
                print(f"{arch:7} {name:36} {of.get('REG', 0):4} registers {of.get('SHARED', 0):6} bytes of shared memory")
                for fault in faults(name, code, of):
                    failed = True
                    print(f"        FAULT in {Path(fatbin).name}: {fault}")
        # Of the other architectures only that nothing is spilled: the rest is the same code.
        for arch in OTHERS:
            for name, of in sorted(resources(cuobjdump, fatbin, arch).items()):
                if of.get("STACK", 0) or of.get("LOCAL", 0):
                    failed = True
                    print(f"        FAULT in {Path(fatbin).name}: {name} uses local memory for {arch}: {of}")
    print(", ".join(f"{count} kernels for {arch}" for arch, count in seen.items()))
    if failed or not all(seen.values()) or len(set(seen.values())) != 1:
        sys.exit("the machine code is not what it should be")


if __name__ == "__main__":
    main()
