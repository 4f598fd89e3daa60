"""Muon for the matrices inside a transformer's layers, AdamW for everything else, both under one schedule.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) takes the momentum of a matrix to the nearest orthogonal
one, by five Newton-Schulz steps. torch.optim.Muon does this in bf16, which a CPU may have to emulate; here it is f32, for all
matrices of one shape at once.
"""

import math

import torch
from torch import nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonal(batch):
    """Matrices (n, rows, cols) with nearly all singular values at one."""
    tall = batch.shape[1] > batch.shape[2]
    x = batch.transpose(1, 2) if tall else batch
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x


class Optimiser:
    """`modules` are pairs of a module or parameter and a factor on its learning rates.

    `steps` sets the schedule: linear over the first `warm` steps, then a cosine to 2% of the rate.
    """

    def __init__(self, modules, steps, matrix_rate, other_rate, warm=20):
        self.steps, self.warm, self.matrix_rate = steps, warm, matrix_rate
        self.matrices, others, self.clipped = {}, [], []
        for module, factor in modules:
            inner = self.inner_matrices(module) if isinstance(module, nn.Module) else []
            for p in inner:
                self.matrices.setdefault((tuple(p.shape), factor), []).append(p)
            known = {id(p) for p in inner}
            parameters = list(module.parameters()) if isinstance(module, nn.Module) else [module]
            self.clipped.append(parameters)
            others.append({"params": [p for p in parameters if id(p) not in known], "lr": other_rate * factor})
        others = [g for g in others if g["params"]]
        self.adam = torch.optim.AdamW(others, weight_decay=0.01, betas=(0.9, 0.98))
        self.adam_rates = [g["lr"] for g in others]
        self.momenta = {}
        self.step_number = 0

    @staticmethod
    def inner_matrices(module):
        """The weights of linear layers, except those that read or write classes."""
        weights = [m.weight for m in module.modules() if isinstance(m, nn.Linear)]
        return [w for w in weights if min(w.shape) >= 64 and max(w.shape) <= 512]

    def step(self, loss):
        """One step down `loss`; returns its value."""
        done = self.step_number / self.steps
        scale = min(1, (self.step_number + 1) / self.warm) * (0.5 * (1 + math.cos(math.pi * done)) + 0.02)
        for parameters in self.clipped:
            for p in parameters:
                p.grad = None
        loss.backward()
        for parameters in self.clipped:
            nn.utils.clip_grad_norm_(parameters, 1.0)
        for group, rate in zip(self.adam.param_groups, self.adam_rates):
            group["lr"] = rate * scale
        self.adam.step()
        with torch.no_grad():
            for key, parameters in self.matrices.items():
                parameters = [p for p in parameters if p.grad is not None]
                if not parameters:
                    continue
                gradient = torch.stack([p.grad for p in parameters])
                momentum = self.momenta.setdefault(key, torch.zeros_like(gradient))
                momentum.mul_(0.95).add_(gradient)
                update = orthogonal(gradient + 0.95 * momentum)
                (rows, cols), factor = key
                rate = self.matrix_rate * factor * scale
                length = rate * 0.2 * math.sqrt(max(rows, cols))
                for p, u in zip(parameters, update):
                    p.mul_(1 - 0.01 * rate).sub_(u, alpha=length)
        self.step_number += 1
        return loss.item()

    def state_dict(self):
        return {"adam": self.adam.state_dict(), "momenta": self.momenta, "step": self.step_number}

    def load_state_dict(self, state):
        self.adam.load_state_dict(state["adam"])
        self.momenta, self.step_number = state["momenta"], state["step"]
