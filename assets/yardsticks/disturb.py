"""Disturbed pictures: blends with the blurred picture, objects taken away or left alone, occluders and noise.

A model that has only seen clean pictures answers blends at random, and maps of it then say little about the picture. Every
disturbance comes with the share of the picture that is still to be seen at each pixel, so that what a model should answer is
known.
"""

import cv2
import numpy as np
import torch

BLUR_KERNEL = 101


def blur_matrix(size, kernel=BLUR_KERNEL):
    """The baseline's Gaussian blur along one axis as a matrix, f32 (size, size): standard deviation kernel - 1, borders
    reflected without the edge (docs/methods.md, "Baseline")."""
    taps = cv2.getGaussianKernel(kernel, kernel - 1, cv2.CV_64F)[:, 0]
    matrix = np.zeros((size, size))
    for offset, tap in zip(range(-(kernel // 2), kernel // 2 + 1), taps):
        for row in range(size):
            at = (row + offset) % (2 * size - 2)
            matrix[row, at if at < size else 2 * size - 2 - at] += tap
    return torch.from_numpy(matrix.astype(np.float32))


def blurred(images, matrices):
    """The baseline pictures of f32 (n, h, w, 3), rows and columns each by their matrix."""
    return torch.einsum("ij,njkc,lk->nilc", matrices[0], images, matrices[1])


def smooth_mask(rng, height, width):
    """A random mask in [0, 1], f32 (height, width), bilinear between the values of a coarse grid."""
    side = int(rng.choice([3, 4, 6, 8]))
    coarse = rng.random((side, side)).astype(np.float32)
    if rng.random() < 0.5:
        coarse = (coarse < rng.uniform(0.3, 0.8)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)


def disturb(rng, images, masks, matrices, share):
    """Disturbs a share of the pictures.

    `images` are u8 (n, h, w, 3), `masks` lists of the pixels of each picture's objects. Returns the pictures as f32 of
    0 to 255, and how much of each pixel is to be seen, f32 (n, h, w).
    """
    count, height, width = images.shape[:3]
    visible = np.ones((count, height, width), np.float32)
    fills = {}
    for k in range(count):
        if rng.random() >= share:
            continue
        mode = int(rng.choice(5, p=[0.2, 0.25, 0.2, 0.15, 0.2]))
        if mode == 0:
            visible[k] = rng.random()
        elif mode == 1:
            visible[k] = smooth_mask(rng, height, width)
        elif mode == 2:  # some objects are taken away
            for mask in masks[k]:
                if rng.random() < 0.4:
                    visible[k][cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = rng.random() * 0.2
        elif mode == 3:  # only some objects are left
            visible[k] = rng.random() * 0.15
            for mask in masks[k]:
                if rng.random() < 0.5:
                    visible[k][mask] = 1
        else:  # occluders of one colour, or of noise
            fill = np.zeros((height, width, 3), np.float32)
            for _ in range(int(rng.integers(1, 4))):
                h, w = rng.integers(10, 50, 2)
                y, x = rng.integers(-10, [height - 10, width - 10])
                box = np.s_[max(y, 0) : y + h, max(x, 0) : x + w]
                visible[k][box] = 0
                fill[box] = rng.uniform(0, 255, fill[box].shape if rng.random() < 0.3 else 1)
            fills[k] = fill
    pictures = torch.from_numpy(images).float()
    kept = torch.from_numpy(visible)[..., None]
    under = blurred(pictures, matrices)
    for k, fill in fills.items():
        under[k] = torch.from_numpy(fill)
    pictures = kept * pictures + (1 - kept) * under
    # In units of the normalised picture, the method's noise has a standard deviation of 0.2.
    sigma = rng.uniform(0, 0.25, count) * (rng.random(count) < 0.5) * 0.27 * 255
    for k in np.flatnonzero(sigma):
        pictures[k] += torch.from_numpy(rng.standard_normal(pictures[k].shape, np.float32)) * float(sigma[k])
    return pictures, visible
