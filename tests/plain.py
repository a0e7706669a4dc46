"""The paper's network as anyone would write it: what the one with a members axis is held against."""

import torch
from torch import Tensor, nn

from lmtcnn.train.model import StereotypeCNN


class Plain(nn.Module):
    """A plain network with the weights of one member of another."""

    def __init__(self, model: StereotypeCNN, member: int) -> None:
        super().__init__()
        weights, made = model.state_dict(), model.architecture
        self.branches = nn.ModuleList()
        for k in made["kernels"]:
            conv = nn.Conv2d(made["intervals"], made["channels"], k, padding=k // 2)
            conv.weight.data = weights[f"branch{k}.weight"][member].clone()
            conv.bias.data = weights[f"branch{k}.bias"][member].clone()
            self.branches.append(nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(made["pool"]), nn.Flatten()))
        features = len(made["kernels"]) * made["channels"] * (made["tiles"] // made["pool"]) ** 2
        self.linear = nn.Linear(features, made["classes"])
        self.linear.weight.data = weights["linear.weight"][member].clone()
        self.linear.bias.data = weights["linear.bias"][member].clone()

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.cat([branch(x) for branch in self.branches], dim=1))
